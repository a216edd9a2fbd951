"""What the workflow's own evaluators find in a battle that was held."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from cornerman.domain.aio import Deadline, TimeUpError, within
from cornerman.domain.battles import Battle, Evaluated
from cornerman.domain.secrets import redact
from cornerman.domain.training.cases import EvaluationContext, Score
from cornerman.evaluators.base import Evaluator, EvaluatorFailure
from cornerman.tasks.agent import isolated
from cornerman.tasks.battle_calls import Stage

# A model's judgement stands beside the referee's, and not above it.
_JUDGES = ("llm_judge",)


class UncheckedError(Exception):
    """An evaluator failed, so nobody knows what the battle is worth."""


async def checked(stage: Stage, battle: Battle, evaluators: Mapping[str, Evaluator]) -> Battle:
    """The battle with what each evaluator found.

    Raises:
        UncheckedError: One failed, or was late.
        StopError: A judge's call did not fit.
    """
    found = dict[str, Evaluated]()
    kinds = {each.id: each.entrypoint for each in stage.workflow.evaluators}
    for name, evaluate in evaluators.items():
        deadline = Deadline(stage.workflow.turn_timeout_seconds)
        try:
            score = await within(deadline, _scored(evaluate, evaluation_context(stage, battle)))
        except TimeUpError:
            limit = stage.workflow.turn_timeout_seconds
            raise UncheckedError(f"Evaluator {name} gave no answer within {limit:g} s.") from None
        except EvaluatorFailure as error:
            raise UncheckedError(f"Evaluator {name} failed: {redact(str(error))}") from None
        reason = score.reason and redact(score.reason)
        counts = kinds[name] not in _JUDGES
        found[name] = Evaluated(score=score.value, reason=reason, counts=counts)
    return battle.model_copy(update={"evaluations": found})


async def _scored(evaluate: Evaluator, context: EvaluationContext) -> Score:
    return await evaluate(context)


def evaluation_context(stage: Stage, battle: Battle) -> EvaluationContext:
    """What an evaluator gets of a battle: `{"turns", "tool_calls", "ended_by"}` as output.

    Its `state`, which `config: {path: ...}` reads, has the agent's last returned state beside
    them; the scenario's `expected` is the expected output.
    """
    turns = [
        turn.model_dump(mode="json", include={"index", "speaker", "text", "tool_calls"})
        for turn in battle.turns
    ]
    calls = [
        {"turn": turn.index} | call.model_dump(mode="json")
        for turn in battle.turns
        for call in turn.tool_calls
    ]
    output: dict[str, Any] = {"turns": turns, "tool_calls": calls, "ended_by": battle.ended_by}
    states = [turn.state for turn in battle.turns if turn.state is not None]
    scenario = stage.scenario
    return EvaluationContext(
        inputs={
            "scenario": scenario.description,
            "role": scenario.agent_role,
            "goal": scenario.agent_goal,
            "persona_id": stage.persona.id,
        },
        output=output,
        expected_output=isolated(scenario.expected),
        metadata=isolated(stage.persona.metadata | scenario.metadata),
        duration_ms=_duration_ms(battle),
        state=output | {"state": isolated(states[-1]) if states else None},
    )


def _duration_ms(battle: Battle) -> float:
    began = battle.started_at
    return 0.0 if began is None else max(0.0, (time.time() - began.timestamp()) * 1000)
