"""Whether the Prefect server limits tasks by a tag, which costs each task a round trip or two."""

from __future__ import annotations

import logging

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from flows.embedded import serves_alone

log = logging.getLogger(__name__)


async def is_limited(tag: str) -> bool:
    """Whether there is a limit on the tag; the embedded server never has one."""
    if serves_alone():
        return False
    try:
        async with get_client() as client:
            limit = await client.read_concurrency_limit_by_tag(tag)
    except ObjectNotFound:
        return False
    except Exception as error:  # noqa: BLE001 - without an answer the run goes on all the same
        log.warning("The limit on the tag %s cannot be read: %s", tag, error)
        return False
    return bool(limit.concurrency_limit)
