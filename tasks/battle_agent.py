"""A battle as a case: `graph_config: {entrypoint: "cornerman.tasks.battle_agent:hold_battle"}`.

The case's inputs are a persona with its setting, as `battle_case` makes them; the candidate's
prompt plays the agent; the output is what `BattleScore` scores.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from cornerman.domain.battles import Battle, Turn
from cornerman.domain.battles.conversation import end_reason, make_turn, next_speaker
from cornerman.domain.battles.workflows import Workflow, scenario_for
from cornerman.domain.personas import Persona
from cornerman.domain.training.cases import EvaluationContext, Score
from cornerman.tasks.agent import AgentContext, PromptText
from cornerman.tasks.battle_calls import Stage, judged

ENTRYPOINT = "cornerman.tasks.battle_agent:hold_battle"
SCORE = "cornerman.tasks.battle_agent:BattleScore"


class BattleScore(BaseModel):
    """The battle's score, 0 to 1, with the referee's reasons."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def __call__(self, context: EvaluationContext) -> Score:
        battle = Battle.model_validate(context.output)
        if battle.score is None:
            raise ValueError(f"the battle is {battle.status}: {battle.error}")
        if battle.spoiled:
            raise ValueError(
                f"the persona fell out of its role (fidelity {battle.fidelity}), so the battle "
                "says nothing about the prompt"
            )
        return Score(battle.score / 100, battle.rationale)


def battle_case(workflow: Workflow, persona: Persona, seed: int) -> dict[str, Any]:
    """The inputs of a case that meets a persona; all that its score depends on is in them."""
    scenario = scenario_for(workflow, persona, seed)
    held = workflow.model_copy(update={"scenarios": (scenario,)})
    return {
        "persona": persona.model_dump(mode="json", exclude={"active", "scenario", "source"}),
        # The candidate brings the prompts.
        "workflow": held.model_dump(mode="json", exclude={"prompts"}),
        "seed": seed,
    }


async def hold_battle(
    inputs: dict[str, Any], prompts: dict[str, PromptText], context: AgentContext
) -> dict[str, Any]:
    """Hold one battle with the candidate's prompt and have it judged.

    Returns:
        The battle as JSON: `status`, `score`, `sub_scores`, `ended_by`, `turns`, …
    """
    assert context.calls is not None, "cases are given their calls"
    calls, stage = context.calls, _stage(inputs, prompts, context)
    turns = list[Turn]()
    while (ended := end_reason(turns, stage.scenario, stage.limits)) is None:
        speaker = next_speaker(turns, stage.workflow.first_speaker)
        answer = await calls.llm.chat(calls.scope, stage.next_request(turns))
        turns.append(make_turn(len(turns), speaker, answer.text))
    battle = Battle(
        id=context.case_id,
        batch_id=context.run_id,
        workflow_id=stage.workflow.id,
        persona_id=stage.persona.id,
        scenario_id=stage.scenario.id,
        seed=stage.seed,
        agent_version=context.candidate_id,
        turns=tuple(turns),
        ended_by=ended,
        simulated=calls.settings.simulated,
    )
    held = await judged(calls.llm, calls.scope, stage, battle, second=False)
    return held.model_dump(mode="json", exclude={"cost_usd", "started_at", "completed_at"})


def _stage(inputs: dict[str, Any], prompts: dict[str, PromptText], context: AgentContext) -> Stage:
    assert context.calls is not None
    plain = {name: text.prompt for name, text in prompts.items()}
    workflow = Workflow.model_validate(inputs["workflow"] | {"prompts": plain})
    return Stage(
        settings=context.calls.settings,
        workflow=workflow,
        limits=workflow.limits,
        prompt=plain[workflow.agent_prompt],
        persona=Persona.model_validate(inputs["persona"]),
        scenario=workflow.scenarios[0],
        seed=int(inputs["seed"]),
    )
