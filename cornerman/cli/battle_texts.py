"""The texts that a workflow's battles are held with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cornerman.cli.personas import seed_builtin
from cornerman.domain.errors import NotFoundError

if TYPE_CHECKING:
    from cornerman.domain.workflows import Workflow
    from storage.engine import Database


@dataclass(frozen=True)
class BattleTexts:
    """What both sides and the referee read, apart from what is said."""

    agent_prompt: str
    persona_prompts: list[str]
    rubric: str
    turn_limit: int
    turn_max_tokens: int


def battle_texts(db: Database, workflow_id: str) -> BattleTexts:
    """Read them.

    Raises:
        NotFoundError: Nothing is known of the workflow's battles, or it has no active personas.
    """
    from storage.checkpoints import read_best_checkpoint
    from storage.personas import read_personas

    workflow = _workflow(db, workflow_id)
    seed_builtin(db, workflow_id)
    with db.reading() as session:
        met = read_personas(session, workflow_id, active=True)
        best = read_best_checkpoint(session, workflow_id)
    if not met:
        raise NotFoundError(
            "No active personas found",
            field="personas",
            hint=f"Type: cornerman personas import FILE --workflow {workflow_id}",
        )
    prompts = workflow.prompts if best is None else {**workflow.prompts, **best.prompts}
    scenes = [scenario.description for scenario in workflow.scenarios]
    scene = max(scenes, key=len)
    return BattleTexts(
        agent_prompt=f"{prompts[workflow.agent_prompt].text}\n{scene}",
        persona_prompts=[f"{persona.system_prompt}\n{scene}" for persona in met],
        rubric=workflow.rubric.model_dump_json(),
        turn_limit=workflow.limits.turn_limit,
        turn_max_tokens=workflow.limits.turn_max_tokens,
    )


def _workflow(db: Database, workflow_id: str) -> Workflow:
    from cornerman.domain.workflows import parse_workflow
    from cornerman.workflows import builtin_workflow, builtin_workflow_ids
    from storage.workflows import read_workflow

    with db.reading() as session:
        held = read_workflow(session, workflow_id) or {}
    if workflow_id not in builtin_workflow_ids() and "battle" in held:
        return parse_workflow(held["battle"], name=workflow_id)
    return builtin_workflow(workflow_id)
