"""`retrain`: every night, train on from the best checkpoints where there is something new.

New is another version of the dataset, or a breakthrough that was reviewed or promoted since. The
outcome becomes the best only when it is surely better on the same cases; otherwise what there was
stays. Either way a report is written.
"""

from __future__ import annotations

from typing import Any

from cornerman.flows.embedded import ServedFlow
from cornerman.flows.engine import Engine, open_engine
from cornerman.flows.own_id import own_id
from cornerman.flows.reported import reported, run_name
from cornerman.flows.retrain_steps import (
    Plan,
    decide,
    make_plan,
    read_candidates,
    tell,
    write_reports,
)
from cornerman.flows.train import train_workflow

from cornerman.domain.errors import CornermanError, StopError
from cornerman.domain.retrain import Retrained
from cornerman.domain.retrain_request import RetrainParameters


async def _retrain(parameters: RetrainParameters) -> dict[str, Any]:
    """Train every workflow that has something new to learn from.

    Returns:
        `{"workflows": [{"workflow_id", "decision", "why", "reasons", "run_id", "change",
        "cost_usd", "report"}], "report": PATH}`.
    """
    night = own_id()
    async with open_engine() as engine:
        done = list[Retrained]()
        for workflow_id in await engine.db.read(read_candidates, parameters):
            plan = await make_plan(engine, parameters, workflow_id, night)
            done.append(plan if isinstance(plan, Retrained) else await _train(engine, plan))
        path, done = await write_reports(engine, night, done)
        await tell(engine, night, done)
    return {"workflows": [one.as_dict() for one in done], "report": str(path)}


async def _train(engine: Engine, plan: Plan) -> Retrained:
    """Train one workflow; one that fails is told of and does not end the night."""
    try:
        result = await train_workflow(plan.parameters)
    except StopError:
        raise
    except CornermanError as error:
        return Retrained(plan.workflow_id, "failed", error.message, plan.reasons, plan.run_id)
    return await decide(engine, plan, result)


retrain = ServedFlow(
    reported("retrain")(_retrain),
    name="retrain",
    flow_run_name=run_name,
    validate_parameters=True,
)
