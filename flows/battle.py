"""`battle-batch`: battles side by side under a budget, then ratings, scout and messages.

A battle is stored turn by turn, so a batch that is started again under its id or key goes on
where its process died; one that has ended gives its result again.
"""

from __future__ import annotations

import time
from typing import Any

from prefect.runtime import flow_run

from cornerman.domain.battles.request import BattleParameters
from cornerman.domain.errors import RunCancelledError, StopError
from cornerman.flows.battle_confirm import confirm_breakthroughs
from cornerman.flows.battle_end import end_batch, end_failed_batch, scout_batch
from cornerman.flows.battle_run import BatchTimeUpError, BattleRun, hold_battles, prepare_batch
from cornerman.flows.engine import open_engine, own_id
from cornerman.flows.plumbing.embedded import ServedFlow
from cornerman.flows.plumbing.reported import reported, run_name
from cornerman.flows.session import RunSession, run_session


async def _battle(parameters: BattleParameters) -> dict[str, Any]:
    """Run one battle batch.

    Returns:
        The batch object of `GET /api/cron/train`, plus `battles` and `metrics`.

    Raises:
        KillSwitchActiveError: The kill-switch is on.
        ConflictError: Another batch is running; `existing_id` names it.
        NotFoundError: No personas are active, or nothing is known of the workflow.
    """
    started = time.monotonic()
    async with open_engine() as engine:
        flow_run_id = str(flow_run.id)
        batch_id = parameters.run_id or f"batch-{own_id()}"
        run = await prepare_batch(engine, parameters, batch_id, started)
        if run.ended and run.run.result is not None:
            await run.context.aclose()
            return run.run.result
        async with run_session(engine.db, run.run.id, flow_run_id=flow_run_id) as session:
            try:
                stop = await session.guard(_work(run, session))
                return await end_batch(run, stop)
            except RunCancelledError as cancelled:
                return await end_batch(run, cancelled)
            except Exception as error:
                await end_failed_batch(run, error)
                raise


async def _work(run: BattleRun, session: RunSession) -> StopError | None:
    """Everything that costs money; returns what stopped it early, if anything."""
    context = run.context
    session.on_kill_switch(context.kill_switch_turned_on)
    try:
        stop = await hold_battles(context, run.jobs)
        if stop is None or isinstance(stop, BatchTimeUpError):
            met = await scout_batch(context)
            stop = stop or met
        if stop is None and context.request.confirm_breakthroughs:
            await confirm_breakthroughs(context)
        return stop
    finally:
        await context.aclose()


battle_batch = ServedFlow(
    reported("batch")(_battle),
    name="battle-batch",
    flow_run_name=run_name,
    validate_parameters=True,
)
