"""`train-workflow`: epochs over a dataset of cases, rewriting prompts, under a hard budget.

Epoch 1 scores the prompts as they are; every later epoch is one round of rewriting. The test
split is opened once, at the end. Every effect is stored under a key of its own, so a run that is
started again under its id goes on where it was, paying for nothing twice.
"""

from __future__ import annotations

import asyncio
from typing import Any

from prefect.runtime import flow_run

from cornerman.domain.errors import CornermanError, RunCancelledError, StopError
from cornerman.domain.heap import heap_at_rest
from cornerman.domain.secrets import redact
from cornerman.domain.training import TrainParameters
from cornerman.domain.training.parse import shown_request
from cornerman.flows.engine import open_engine, own_id
from cornerman.flows.plumbing.embedded import ServedFlow
from cornerman.flows.plumbing.reported import reported, run_name
from cornerman.flows.session import RunSession, run_session
from cornerman.flows.training_end import end_training
from cornerman.flows.training_prepare import prepare_training
from cornerman.flows.training_run import TrainingRun


async def _train(parameters: TrainParameters) -> dict[str, Any]:
    """Train a workflow's prompts.

    Returns:
        The run's result, as `cornerman train --json` prints it.

    Raises:
        BadInputError: The request cannot be run; nothing was spent.
        ConflictError: A living process works on this run.
        CornermanError: The run failed; what it has is kept.
    """
    async with open_engine() as engine:
        flow_run_id = str(flow_run.id)
        run_id = parameters.run_id or f"train-{own_id()}"
        run = await prepare_training(engine, parameters, run_id)
        try:
            async with run_session(engine.db, run_id, flow_run_id=flow_run_id) as session:
                await run.begin(session.owner, session.run)
                with heap_at_rest():
                    return await _to_its_end(run, session)
        finally:
            await run.close()


async def _to_its_end(run: TrainingRun, session: RunSession) -> dict[str, Any]:
    """Run the epochs and end the run, however they end."""
    try:
        stop = await session.guard(_epochs(run, session))
    except StopError as cancelled:
        stop = cancelled
    except asyncio.CancelledError:
        # Whoever awaits the run gives up, such as by Ctrl-C: it must not seem to go on.
        stop = RunCancelledError("The process was told to stop.")
        await asyncio.shield(end_training(run, stop=stop))
        raise
    except Exception as error:
        if session.lost is None:
            await end_training(run, error=error)
        if redact(str(error)) != str(error):
            # Prefect keeps and logs what a flow raises.
            raise CornermanError(f"{type(error).__name__}: {error}") from None
        raise
    return await end_training(run, stop=stop)


async def _epochs(run: TrainingRun, session: RunSession) -> StopError | None:
    """Run epochs until one of the request's stops; return what stopped it early, if anything."""
    session.on_kill_switch(run.context.kill_switch_turned_on)
    try:
        await run.check_judge()
        await run.score_starting_prompts()
        while run.progress.stopped_by is None:
            await run.next_epoch()
        await run.open_test_split()
    except StopError as stop:
        return stop
    finally:
        await run.close()
    return None


class TrainFlow(ServedFlow[Any, Any]):
    """Shows Prefect the request without its secrets, and without a large dataset's cases."""

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        given = parameters.get("parameters")
        if isinstance(given, TrainParameters):
            return {"parameters": shown_request(given)}
        return super().serialize_parameters(parameters)


train_workflow = TrainFlow(
    reported("training")(_train),
    name="train-workflow",
    flow_run_name=run_name,
    validate_parameters=True,
)
