"""`train-workflow`: epochs over a dataset of cases, rewriting prompts, under a hard budget.

Epoch 1 scores the prompts as they are; every later epoch is one round of rewriting. The test
split is opened once, at the end. Every effect is stored under a key of its own, so a run that is
started again under its id goes on where it was, paying for nothing twice.
"""

from __future__ import annotations

from typing import Any

from cornerman.domain.training import TrainParameters
from cornerman.flows.case_run import RequestFlow, work_on
from cornerman.flows.engine import open_engine, own_id
from cornerman.flows.plumbing.reported import reported, run_name
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
        run_id = parameters.run_id or f"train-{own_id()}"
        run = await prepare_training(engine, parameters, run_id)
        return await work_on(engine.db, run, _epochs, end_training)


async def _epochs(run: TrainingRun) -> None:
    """Run epochs until one of the request's stops, then open the test split."""
    await run.check_judge()
    await run.score_starting_prompts()
    while run.progress.stopped_by is None:
        await run.next_epoch()
    await run.open_test_split()


train_workflow = RequestFlow(
    reported("training")(_train),
    name="train-workflow",
    flow_run_name=run_name,
    validate_parameters=True,
)
