"""`battle-batch`: battles side by side under a budget, then ratings, scout and messages."""

from __future__ import annotations

import asyncio
from typing import Any

from prefect.runtime import flow_run

from cornerman.domain.battle_request import BattleParameters
from cornerman.domain.errors import LLMError, RunCancelledError, StopError
from flows.battle_end import end_batch, end_failed_batch
from flows.battle_run import BattleRun, prepare_batch
from flows.embedded import ServedFlow
from flows.engine import open_engine
from flows.session import RunSession, run_session
from tasks.battle import run_battle
from tasks.battle_context import BattleJob


class BatchTimeUpError(StopError):
    """The batch's time limit has passed."""

    stopped_by = "timeout"
    exit_code = 0


async def _battle(parameters: BattleParameters) -> dict[str, Any]:
    """Run one battle batch.

    Returns:
        The batch object of `GET /api/cron/train`, plus `battles`.

    Raises:
        KillSwitchActiveError: The kill-switch is on.
        ConflictError: Another batch is running.
        NotFoundError: No personas are active.
    """
    async with open_engine() as engine:
        flow_run_id = str(flow_run.id)
        batch_id = parameters.run_id or f"batch-{flow_run_id.replace('-', '')[:12]}"
        run = await prepare_batch(engine, parameters, batch_id)
        if run.run.finished and run.run.result is not None:
            return run.run.result  # the same key gives the same batch
        async with run_session(engine.db, run.run.id, flow_run_id=flow_run_id) as session:
            try:
                stop = await session.guard(_battles(run, session))
            except RunCancelledError as cancelled:
                stop = cancelled
            except Exception as error:
                await end_failed_batch(run, error)
                raise
            finally:
                await run.context.llm.aclose()
            return await end_batch(run, engine, stop)


async def _battles(run: BattleRun, session: RunSession) -> StopError | None:
    """Hold the batch's battles; return what stopped it early, if anything."""
    context = run.context
    session.on_kill_switch(context.kill_switch_turned_on)
    slots = asyncio.Semaphore(context.settings.max_concurrent_battles)
    held = [asyncio.ensure_future(_one(run, job, slots)) for job in run.jobs]
    try:
        _, late = await asyncio.wait(held, timeout=context.time_limit_seconds)
        if late:
            limit = context.time_limit_seconds
            context.stop(BatchTimeUpError(f"The time limit of {limit:g} s has passed."))
    finally:
        for battle in held:
            battle.cancel()
        outcomes = await asyncio.gather(*held, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception) and not isinstance(outcome, (StopError, LLMError)):
            raise outcome
    return context.stopping


async def _one(run: BattleRun, job: BattleJob, slots: asyncio.Semaphore) -> None:
    """Start a battle in its turn, `DELAY_BETWEEN_BATTLES_MS` after the one before."""
    await asyncio.sleep(job.position * run.context.settings.delay_between_battles_ms / 1000)
    async with slots:
        name = f"{job.persona.name} ({job.scenario.id})"
        await run_battle.with_options(task_run_name=name)(run.context, job)


battle_batch = ServedFlow(_battle, name="battle-batch", validate_parameters=True)
