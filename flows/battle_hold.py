"""Holding battles: so many at once, one start after the other, until the time is up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence

from cornerman.domain.errors import LLMError, StopError
from flows.tag_limits import begun
from tasks.battle import run_battle
from tasks.battle_context import BattleContext, BattleJob


class BatchTimeUpError(StopError):
    """The batch's time limit has passed."""

    stopped_by = "timeout"
    exit_code = 0


class Starts:
    """Lets battles start one after the other, at least `DELAY_BETWEEN_BATTLES_MS` apart."""

    def __init__(self, context: BattleContext) -> None:
        self.slots = asyncio.Semaphore(context.settings.max_concurrent_battles)
        self._gate = asyncio.Lock()
        self._delay = context.settings.delay_between_battles_ms / 1000
        self._next = 0.0

    async def wait(self, stopped: asyncio.Event) -> None:
        """Return when the next battle may start, or when none may any more."""
        async with self._gate:
            pause = self._next - time.monotonic()
            if pause > 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopped.wait(), pause)
            self._next = time.monotonic() + self._delay


async def hold_battles(
    context: BattleContext, jobs: Sequence[BattleJob], starts: Starts | None = None
) -> StopError | None:
    """Hold battles side by side; return what stopped them early, if anything."""
    starts = starts or Starts(context)
    held = [asyncio.ensure_future(_one(context, job, starts)) for job in jobs]
    try:
        if held:
            _, late = await asyncio.wait(held, timeout=max(0.0, context.remaining_seconds))
            if late:
                limit = context.time_limit_seconds
                context.stop(BatchTimeUpError(f"The time limit of {limit:g} s has passed."))
    finally:
        for battle in held:
            battle.cancel()
        outcomes = await asyncio.gather(*held, return_exceptions=True)
    for outcome in outcomes:
        # Whatever a battle can fail of is in its row; this is the database, or a bug.
        if isinstance(outcome, Exception) and not isinstance(outcome, (StopError, LLMError)):
            raise outcome
    return context.stopping


async def _one(context: BattleContext, job: BattleJob, starts: Starts) -> None:
    async with starts.slots:
        await starts.wait(context.stopped)
        context.check()
        name = f"{job.persona.name} ({job.scenario.id})"
        await begun(lambda: run_battle.with_options(task_run_name=name)(context, job))
