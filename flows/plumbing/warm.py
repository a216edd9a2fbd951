"""A flow that does nothing, run while a process waits for its run.

Prefect builds half of its models, clients and services at a process's first flow; that takes half
a second, which a run that somebody waits for need not.
"""

from __future__ import annotations

import asyncio
import logging

from prefect import task
from prefect.cache_policies import NO_CACHE

from cornerman.domain.errors import CornermanError
from cornerman.domain.heap import rest_heap_for_good
from cornerman.flows.plumbing.embedded import ServedFlow

log = logging.getLogger(__name__)


@task(name="warm-up", cache_policy=NO_CACHE, persist_result=False)
async def _nothing() -> None:
    """Only Prefect's own work."""


async def _flow() -> None:
    await _nothing()


_warm_up = ServedFlow(_flow, name="warm-up")


def warm_up() -> None:
    """Run it; what goes wrong is left to the run that comes to say."""
    try:
        asyncio.run(_warm_up())
    except (CornermanError, OSError) as error:
        log.warning("Not warmed up: %s", error)
    rest_heap_for_good()
