"""The trial of a tactic as a training request: battles with personas that did not show it.

Without Prefect, so that who starts a trial can check it and tell its id.

`promote-breakthrough`: a tactic that won once is tried on personas that did not show it.

The trial is a training run of two epochs whose cases are battles: the incumbent prompt, and the
same prompt with the tactic. Only if that is better by the paired 95% interval is there a
checkpoint, which then is the workflow's best, so that the next batch plays with it.
"""

from __future__ import annotations

import hashlib
from typing import Any

from cornerman.domain.battles.breakthroughs import FEWEST_PERSONAS, Breakthrough, PromoteParameters
from cornerman.domain.battles.workflows import Workflow
from cornerman.domain.errors import BadInputError, NotFoundError
from cornerman.domain.personas import Persona
from cornerman.domain.seeds import derived_seed, stream
from cornerman.domain.training import TrainParameters
from cornerman.flows.battle_workflow import read_battle_workflow
from cornerman.flows.engine import open_database
from cornerman.flows.plumbing.embedded import ServedFlow
from cornerman.flows.train import train_workflow
from cornerman.settings import get_settings
from cornerman.storage import battles, breakthroughs, checkpoints, events, personas
from cornerman.tasks.battle_agent import ENTRYPOINT, SCORE, battle_case

_CASE_SECONDS = 300
# One persona must be a train case; nothing is learned from it.
_SPLIT = {"train": 0.01, "validation": 0.99, "test": 0.0}


def make_trial(session: Any, parameters: PromoteParameters, found: Breakthrough) -> TrainParameters:
    """The training run that tries a reviewed breakthrough's tactic; its id is the trial's.

    Raises:
        BadInputError: Too few personas are left to try it on.
    """
    workflow = read_battle_workflow(session, found.workflow_id)
    best = checkpoints.read_best_checkpoint(session, workflow.id)
    usable = best is not None and workflow.agent_prompt in best.prompts
    prompts = dict(best.prompts if best is not None and usable else workflow.prompts)
    agent = prompts[workflow.agent_prompt]
    prompts[workflow.agent_prompt] = agent.model_copy(update={"requires_grad": True})
    metadata = {
        "breakthrough_id": found.id,
        "tactic": found.tactic.tactic,
        "prompt": workflow.agent_prompt,
    }
    held_out = _held_out(session, found, parameters)
    spec = TrainParameters.model_validate(
        {
            "workflow_id": workflow.id,
            "prompts": {name: prompt.model_dump() for name, prompt in prompts.items()},
            "graph_config": {"entrypoint": ENTRYPOINT},
            "evaluators": [{"id": "battle", "entrypoint": SCORE}],
            "dataset": {
                "cases": [_case(workflow, one, parameters.seed, metadata) for one in held_out],
                "split": _SPLIT,
            },
            "optimizer": {
                "epochs": 2,
                "strategy": "cornerman.optimizers.tactic:IncludeTactic",
                "case_timeout_seconds": _CASE_SECONDS,
                "max_concurrency": get_settings().max_concurrent_battles,
                "max_cost_usd": parameters.max_cost_usd,
                "seed": parameters.seed,
            },
        }
    )
    # Another incumbent or other personas make it another trial; the same ones go on with it.
    content = spec.model_dump_json(include={"prompts", "dataset"})
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    return spec.model_copy(update={"run_id": f"promote-{found.id[:13]}-{digest}"})


def read_reviewed(session: Any, breakthrough_id: str) -> Breakthrough:
    """A breakthrough that may be tried, or was promoted.

    Raises:
        NotFoundError: There is no such breakthrough.
        BadInputError: It was not reviewed, or the scout could not name its tactic.
    """
    found = breakthroughs.read_breakthrough(session, breakthrough_id)
    if found is None:
        raise NotFoundError(
            f"There is no breakthrough {breakthrough_id!r}.", field="breakthrough_id"
        )
    if found.status not in ("reviewed", "promoted"):
        raise BadInputError(
            f"status: breakthrough {found.id} is {found.status!r}; only a reviewed one is tried.",
            field="breakthrough_id",
            hint="Review it first.",
        )
    if not found.tactic.named:
        raise BadInputError(
            f"tactic: the scout could not name the tactic of breakthrough {found.id}, so there is "
            "nothing to write into a prompt.",
            field="breakthrough_id",
        )
    return found


def _held_out(session: Any, found: Breakthrough, parameters: PromoteParameters) -> list[Persona]:
    """Active personas that did not show the tactic, drawn by seed when there are many."""
    shown = {found.persona_id}
    for battle_id in found.merged_battle_ids:
        battle = battles.read_battle(session, battle_id)
        shown |= {battle.persona_id} if battle is not None else set()
    active = personas.read_personas(session, found.workflow_id, active=True)
    others = [persona for persona in active if persona.id not in shown]
    if len(others) < FEWEST_PERSONAS:
        raise BadInputError(
            f"personas: {len(others)} active ones did not show the tactic; at least "
            f"{FEWEST_PERSONAS} are needed to tell whether it helps.",
            field="personas",
            hint="Type: cornerman personas import FILE, or: cornerman personas generate N",
        )
    rng = stream(parameters.seed, "held-out", found.id)
    return rng.sample(others, min(parameters.most_personas, len(others)))


def _case(
    workflow: Workflow, persona: Persona, seed: int, metadata: dict[str, Any]
) -> dict[str, Any]:
    inputs = battle_case(workflow, persona, derived_seed(seed, "promotion", persona.id))
    return {"id": persona.id, "inputs": inputs, "metadata": metadata}


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
