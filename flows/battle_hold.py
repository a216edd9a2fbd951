"""Holding battles: so many at once, until the time is up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cornerman.flows.tag_limits import begun
from cornerman.tasks.battle import run_battle
from cornerman.tasks.battle_context import BattleContext, BattleJob

from cornerman.domain.errors import LLMError, StopError


class BatchTimeUpError(StopError):
    """The batch's time limit has passed."""

    stopped_by = "timeout"
    exit_code = 0


async def hold_battles(context: BattleContext, jobs: Sequence[BattleJob]) -> StopError | None:
    """Hold battles side by side; return what stopped them early, if anything."""
    slots = asyncio.Semaphore(context.settings.max_concurrent_battles)
    held = [asyncio.ensure_future(_one(context, job, slots)) for job in jobs]
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


async def _one(context: BattleContext, job: BattleJob, slots: asyncio.Semaphore) -> None:
    async with slots:
        context.check()
        name = f"{job.persona.name} ({job.scenario.id})"
        await begun(lambda: run_battle.with_options(task_run_name=name)(context, job))
