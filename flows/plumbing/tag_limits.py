"""Whether the Prefect server limits tasks by a tag, which costs each task a round trip or two."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from prefect.client.orchestration import get_client
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.exceptions import ObjectNotFound

from cornerman.flows.plumbing.embedded import serves_alone

T = TypeVar("T")

log = logging.getLogger(__name__)

_PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)


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


async def begun(start: Callable[[], Awaitable[T]]) -> T:
    """Await a task; start it again when a busy server could not give it its place under a limit.

    Such a task has not begun, so nothing is done twice.
    """
    for pause in _PAUSES_SECONDS:
        try:
            return await start()
        except ConcurrencySlotAcquisitionError as error:
            log.warning("A task waits %g s for its place: %s", pause, error)
            await asyncio.sleep(pause)
    return await start()
