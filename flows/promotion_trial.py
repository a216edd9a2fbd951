"""The trial of a tactic as a training request: battles with personas that did not show it.

Without Prefect, so that who starts a trial can check it and tell its id.
"""

from __future__ import annotations

import hashlib
from typing import Any

from cornerman.flows.battle_workflow import read_battle_workflow
from cornerman.storage import battles, breakthroughs, checkpoints, personas
from cornerman.tasks.battle_agent import ENTRYPOINT, SCORE, battle_case

from cornerman.domain.breakthroughs import Breakthrough
from cornerman.domain.errors import BadInputError, NotFoundError
from cornerman.domain.personas import Persona
from cornerman.domain.promote_request import FEWEST_PERSONAS, PromoteParameters
from cornerman.domain.seeds import derived_seed, stream
from cornerman.domain.train_parameters import TrainParameters
from cornerman.domain.workflows import Workflow
from cornerman.settings import get_settings

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
