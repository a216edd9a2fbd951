"""The texts that a workflow's battles are held with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cornerman.cli.personas import seed_builtin
from cornerman.domain.selection import no_active_personas

if TYPE_CHECKING:
    from cornerman.domain.workflows import Limits
    from cornerman.storage.engine import Database


@dataclass(frozen=True)
class BattleTexts:
    """What both sides and the referee read, apart from what is said."""

    agent_prompt: str
    persona_prompts: list[str]
    rubric: str
    limits: Limits


def battle_texts(db: Database, workflow_id: str) -> BattleTexts:
    """Read them.

    Raises:
        NotFoundError: Nothing is known of the workflow's battles, or it has no active personas.
    """
    from cornerman.flows.battle_workflow import read_agent, read_battle_workflow
    from cornerman.storage.personas import read_personas

    seed_builtin(db, workflow_id)
    with db.reading() as session:
        workflow = read_battle_workflow(session, workflow_id)
        everybody = read_personas(session, workflow_id)
        prompt, _ = read_agent(session, workflow)
    met = [persona for persona in everybody if persona.active]
    if not met:
        raise no_active_personas(workflow_id, switched_off=bool(everybody))
    scene = max((scenario.description for scenario in workflow.scenarios), key=len)
    return BattleTexts(
        agent_prompt=f"{prompt.text}\n{scene}",
        persona_prompts=[f"{persona.system_prompt}\n{scene}" for persona in met],
        rubric=workflow.rubric.model_dump_json(),
        limits=workflow.limits,
    )
