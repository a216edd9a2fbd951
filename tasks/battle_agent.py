"""A battle as a case: `graph_config: {entrypoint: "cornerman.tasks.battle_agent:hold_battle"}`.

The case's inputs are a persona with its setting, as `battle_case` makes them; the candidate's
prompt plays the agent; the output is what `BattleScore` scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict

from cornerman.domain.aio import Deadline
from cornerman.domain.battles import Battle, Turn
from cornerman.domain.battles.conversation import end_reason, make_turn
from cornerman.domain.battles.workflows import Workflow, scenario_for
from cornerman.domain.personas import Persona
from cornerman.domain.seeds import derived_seed
from cornerman.domain.training.cases import EvaluationContext, Score
from cornerman.evaluators.base import build_evaluators
from cornerman.tasks.agent import Agent, AgentContext, Calls, PromptText
from cornerman.tasks.battle_calls import Stage, judged
from cornerman.tasks.battle_checks import checked
from cornerman.tasks.judge import judge_chat, judging
from cornerman.tasks.own_agents import build_agent
from cornerman.tasks.own_turn import situated, take_turn

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
        "workflow": held.model_dump(mode="json", exclude={"prompts", "training"}),
        "seed": seed,
    }


def battle_cases(
    workflow: Workflow, personas: Sequence[Persona], each: int, seed: int
) -> list[dict[str, Any]]:
    """Cases that meet every persona so often, with another seed each time.

    In rounds, so that the first cases meet everybody once.
    """
    return [
        {
            "id": persona.id if number == 0 else f"{persona.id}-{number + 1}",
            "inputs": battle_case(
                workflow, persona, derived_seed(seed, "cases", persona.id, number)
            ),
            "metadata": {"persona_id": persona.id},
        }
        for number in range(each)
        for persona in personas
    ]


async def hold_battle(
    inputs: dict[str, Any], prompts: dict[str, PromptText], context: AgentContext
) -> dict[str, Any]:
    """Hold one battle with the candidate's prompt and have it judged.

    Returns:
        The battle as JSON: `status`, `score`, `sub_scores`, `ended_by`, `turns`, …
    """
    assert context.calls is not None, "cases are given their calls"
    calls, stage = context.calls, _stage(inputs, prompts, context)
    agent = _own_agent(stage, calls)
    turns = list[Turn]()
    while (ended := end_reason(turns, stage.scenario, stage.limits)) is None:
        if agent is not None and stage.speaker(turns) == "agent":
            turns.append(await _own_turn(agent, stage, turns, context))
        else:
            speaker = stage.speaker(turns)
            answer = await calls.llm.chat(calls.scope, stage.next_request(turns))
            turns.append(make_turn(len(turns), speaker, answer.text))
    battle = Battle(
        id=context.case_id,
        # Not the run: what an optimizer reads, and so what it writes, is the same in every run.
        batch_id="training",
        workflow_id=stage.workflow.id,
        persona_id=stage.persona.id,
        scenario_id=stage.scenario.id,
        seed=stage.seed,
        agent_version=context.candidate_id,
        turns=tuple(turns),
        ended_by=ended,
        simulated=calls.settings.simulated,
    )
    allowed = list(calls.settings.evaluator_modules)
    chat = judge_chat(calls.llm, calls.settings)
    evaluators = build_evaluators(stage.workflow.evaluators, allowed=allowed, chat=chat)
    with judging(lambda: calls.scope):
        battle = await checked(stage, battle, evaluators)
    held = await judged(calls.llm, calls.scope, stage, battle, second=False)
    return held.model_dump(mode="json", exclude={"cost_usd", "started_at", "completed_at"})


def _own_agent(stage: Stage, calls: Calls) -> Agent | None:
    """The user's own agent that the case's workflow names; None: a chat call a turn.

    One behind an address was compared with the stored workflow's before the run began: a case may
    come from anywhere, and what it names must not be fetched.
    """
    agent = stage.workflow.agent
    if not stage.workflow.has_own_agent:
        return None
    return build_agent(agent, list(calls.settings.evaluator_modules), "workflow.agent")


async def _own_turn(
    agent: Agent, stage: Stage, turns: Sequence[Turn], context: AgentContext
) -> Turn:
    assert context.calls is not None
    said = await take_turn(
        agent,
        stage,
        turns,
        situated(replace(context), stage, turns),
        heard=context.calls.heard,
        deadline=Deadline(stage.workflow.turn_timeout_seconds),
    )
    text = said.text if said.text.strip() else "(nothing was said: the agent returned no text)"
    facts = {"tool_calls": said.tool_calls, "state": said.state}
    return make_turn(len(turns), "agent", text, **facts)


def _stage(inputs: dict[str, Any], prompts: dict[str, PromptText], context: AgentContext) -> Stage:
    assert context.calls is not None
    plain = {name: text.prompt for name, text in prompts.items()}
    workflow = Workflow.model_validate(inputs["workflow"] | {"prompts": plain})
    return Stage(
        settings=context.calls.settings,
        workflow=workflow,
        limits=workflow.limits,
        prompts=plain,
        persona=Persona.model_validate(inputs["persona"]),
        scenario=workflow.scenarios[0],
        seed=int(inputs["seed"]),
    )
