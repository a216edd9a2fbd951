"""`promote-breakthrough`: a tactic that won once is tried on personas that did not show it.

The trial is a training run of two epochs whose cases are battles: the incumbent prompt, and the
same prompt with the tactic. Only if that is better by the paired 95% interval is there a
checkpoint, which then is the workflow's best, so that the next batch plays with it.
"""

from __future__ import annotations

from typing import Any

from cornerman.flows.embedded import ServedFlow
from cornerman.flows.engine import open_database
from cornerman.flows.promotion_trial import make_trial, read_reviewed
from cornerman.flows.train import train_workflow
from cornerman.storage import breakthroughs, checkpoints, events

from cornerman.domain.breakthroughs import Breakthrough
from cornerman.domain.promote_request import PromoteParameters


async def _promote(parameters: PromoteParameters) -> dict[str, Any]:
    """Try a reviewed breakthrough's tactic and promote it if it holds up.

    Returns:
        `{"breakthrough_id", "status", "promoted", "reason", "checkpoint_id", "run_id",
        "cost_usd", "stopped_by"}`; no run when it was promoted before. A trial that was
        stopped goes on when it is asked for again.

    Raises:
        NotFoundError: There is no such breakthrough.
        BadInputError: It was not reviewed, or too few personas are left to try it on.
    """
    async with open_database() as db:
        found = await db.read(read_reviewed, parameters.breakthrough_id)
        if found.status == "promoted":
            return _answer(found, None)
        spec = await db.read(make_trial, parameters, found)
    result = await train_workflow(spec)
    async with open_database() as db:
        return await db.write(_conclude, parameters, result)


def _conclude(
    session: Any, parameters: PromoteParameters, result: dict[str, Any]
) -> dict[str, Any]:
    found = breakthroughs.read_breakthrough(session, parameters.breakthrough_id)
    assert found is not None
    accepted, reason = _decision(session, result)
    tried = [c for c in result["checkpoints"] if c["metadata"]["candidate_id"] != "c0"]
    checkpoint_id = tried[-1]["id"] if accepted and tried else None
    if checkpoint_id is not None and found.status == "reviewed":
        # The incumbent's prompts were scored in the same run on the same personas, so the two
        # compare even where the workflow's best was scored on another dataset.
        checkpoints.update_best(
            session,
            found.workflow_id,
            checkpoint_id,
            reason=f"tactic {found.tactic.title!r}: {reason}",
            by=parameters.by,
        )
        found = breakthroughs.review_breakthrough(
            session,
            found.id,
            "promoted",
            by=parameters.by,
            reason=reason,
            checkpoint_id=checkpoint_id,
        )
    found = found.model_copy(update={"last_trial": reason})
    breakthroughs.update_breakthrough(session, found)
    return _answer(found, result)


def _answer(found: Breakthrough, result: dict[str, Any] | None) -> dict[str, Any]:
    trial = result or {}
    return {
        "breakthrough_id": found.id,
        "status": found.status,
        "promoted": found.status == "promoted",
        "reason": found.last_trial,
        "checkpoint_id": found.checkpoint_id,
        "run_id": trial.get("run_id"),
        "cost_usd": trial.get("cost_usd", 0.0),
        "stopped_by": trial.get("stopped_by"),
    }


def _decision(session: Any, result: dict[str, Any]) -> tuple[bool, str]:
    log = events.read_events(session, result["run_id"], limit=100_000)
    epochs = [event.payload for event in log if event.event == "training_epoch_complete"]
    if len(epochs) < 2:
        return False, f"the trial was stopped by {result['stopped_by'] or 'an error'}"
    return bool(epochs[-1]["accepted"]), str(epochs[-1]["reason"])


promote_breakthrough = ServedFlow(_promote, name="promote-breakthrough", validate_parameters=True)
