"""Workflow files: agents, evaluators, training; and what a check is worth beside a verdict."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from cornerman.domain.battles import Evaluated, Outcome
from cornerman.domain.battles.workflows import parse_workflow
from cornerman.domain.errors import BadInputError
from cornerman.domain.referee import Verdict, checked_score, combine
from tests.support.battle_arena import lab_workflow


def parsed(**changes: Any) -> Any:
    return parse_workflow(yaml.safe_dump(yaml.safe_load(lab_workflow()) | changes), name="w.yaml")


def test_an_agent_takes_the_forms_of_a_training_request() -> None:
    assert not parsed().has_own_agent
    assert not parsed(agent={}).has_own_agent
    own = parsed(agent={"entrypoint": "shop:graph", "stateful": True, "turn_timeout_seconds": 5})
    assert own.has_own_agent and own.agent.stateful and own.turn_timeout_seconds == 5
    http = parsed(agent={"http": {"url": "http://h/a", "protocol": "openai"}})
    assert http.has_own_agent and http.turn_timeout_seconds == 60
    assert parse_workflow(yaml.safe_dump(own.model_dump(mode="json"))) == own


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"agent": {"entrypoint": "no colon"}}, "module:name"),
        ({"agent": {"entrypoint": "a:b", "http": {"url": "http://h"}}}, "not both"),
        ({"agent": {"entripoint": "a:b"}}, "agent.entripoint"),
        ({"limits": {"turn_timeout_seconds": 0}}, "limits.turn_timeout_seconds"),
        ({"evaluators": [{"id": "a", "entrypoint": "numeric"}] * 2}, "two have the id 'a'"),
        ({"evaluators": [{"id": "a", "entrypoint": "numerik"}]}, "did you mean numeric"),
        ({"training": {"battles_per_persona": 0}}, "training.battles_per_persona"),
        ({"training": {"optimizer": {"epochs": 99}}}, "training.optimizer.epochs"),
        ({"prompts": {}}, "prompts: none is given"),
    ],
)
def test_what_cannot_be_is_refused_by_its_place(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        parsed(**changes)


def test_an_own_agents_prompts_need_no_one_called_system() -> None:
    prompts = {"plan": {"text": "Plan."}, "answer": {"text": "Answer.", "requires_grad": True}}
    agent = {"entrypoint": "a:b"}
    assert parsed(agent=agent, prompts=prompts).agent_prompt == "answer"
    assert parsed(agent=agent, prompts={}).prompts == {}


def evaluated(score: float, *, counts: bool = True) -> Evaluated:
    return Evaluated(score=score, counts=counts)


def test_checks_count_by_weight_and_judges_do_not() -> None:
    weights = {"a": 3.0, "b": 1.0, "j": 5.0}
    found = {"a": evaluated(1), "b": evaluated(0), "j": evaluated(0, counts=False)}
    assert checked_score(found, weights) == 75
    assert checked_score({"j": found["j"]}, weights) is None
    assert checked_score({}, {}) is None


@pytest.mark.parametrize(
    ("price", "checked", "score"), [(None, None, 60), (None, 100, 100), (50, 0, 0), (50, 100, 50)]
)
def test_what_is_computed_overrides_what_was_judged(
    price: float | None, checked: float | None, score: float
) -> None:
    outcome = price and Outcome(
        kind="deal", agreed_price=150, agent_utility=0.5, persona_utility=0.5, score=price
    )
    assert combine(Verdict(score=60), outcome or None, checked).score == score
    unseen = combine(None, outcome or None, checked)
    assert (unseen.status, unseen.score) == ("unscored", None)
