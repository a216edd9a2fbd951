"""Reserves and settles calls so that cancelling their task loses neither."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from cornerman.domain.errors import StopError
from cornerman.domain.money.ledger import Also, CallEstimate, CallOutcome, CallScope, Meter

T = TypeVar("T")

_log = logging.getLogger(__name__)
_CLOSE_SECONDS = 10.0


class Booking:
    """A meter whose bookings are finished also when whoever made them is cancelled."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._tasks: set[asyncio.Task[Any]] = set()

    async def reserve(self, scope: CallScope, estimate: CallEstimate) -> str:
        """As `Meter.reserve`; when cancelled meanwhile, what was reserved is given back."""
        task = asyncio.ensure_future(self._meter.reserve(scope, estimate))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._spawn(self._give_back(task))
            raise

    async def settle(self, call_id: str, outcome: CallOutcome, also: Also | None = None) -> None:
        """As `Meter.settle`; when cancelled meanwhile, it is booked all the same."""
        await asyncio.shield(self._spawn(self._meter.settle(call_id, outcome, also)))

    async def aclose(self) -> None:
        """Wait for the bookings under way. Those that still wait for money are given up."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_SECONDS)
        for task in self._tasks:
            task.cancel()

    async def _give_back(self, reservation: asyncio.Future[str]) -> None:
        outcome = CallOutcome("cancelled", error="cancelled before it was sent")
        try:
            await self._meter.settle(await reservation, outcome)
        except StopError:
            # It was refused, so there is nothing to give back and nobody left to tell.
            return

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("A call could not be booked: %s: %s", type(error).__name__, error)
