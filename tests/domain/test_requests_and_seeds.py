"""Stored requests hold no secrets; random streams are named; the best is moved by what it says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from cornerman.domain.seeds import derived_seed, stream
from cornerman.domain.training.candidates import Checkpoint, becomes_best
from cornerman.domain.training.parse import parse_train_spec, public_request


def spec(**fields: Any) -> Any:
    given: dict[str, Any] = {
        "workflow_id": "w",
        "dataset": {"cases": [{"inputs": {"api_key": "the user's data"}}]},
        "evaluators": [{"id": "e", "entrypoint": "exact_match"}],
        "prompts": {"system": {"text": "Hi.", "requires_grad": True}},
    }
    return parse_train_spec(given | fields, source="cli")


def test_secrets_of_evaluators_agent_and_config_are_masked():
    evaluator = {"id": "e", "entrypoint": "exact_match", "config": {"api_key": "k1", "n": 1}}
    http = {"url": "http://127.0.0.1/", "headers": {"X": "k2", "Y": "${NAME}"}}
    asked = spec(
        evaluators=[evaluator],
        graph_config={"http": http},
        runnable_config={"token": "k3", "depth": 2},
    )
    stored = public_request(asked, asked.prompts)
    assert stored["evaluators"][0]["config"] == {"api_key": "***", "n": 1}
    assert stored["graph_config"]["http"]["headers"] == {"X": "(not stored)", "Y": "${NAME}"}
    assert stored["runnable_config"] == {"token": "***", "depth": 2}


def test_cases_and_prompts_are_kept_as_they_are():
    asked = spec()
    stored = public_request(asked, asked.prompts)
    assert stored["dataset"]["cases"][0]["inputs"] == {"api_key": "the user's data"}
    assert stored["prompts"]["system"]["text"] == "Hi."


def test_the_prompts_that_the_run_came_to_are_stored_once():
    asked = spec(prompts=None, runnable_config={"prompts": spec().model_dump()["prompts"]})
    stored = public_request(asked, asked.starting_prompts)
    assert stored["prompts"]["system"]["text"] == "Hi."
    assert "prompts" not in stored["runnable_config"]


def test_a_stored_request_is_one_that_can_be_asked_again():
    asked = spec(optimizer={"epochs": 2})
    stored = public_request(asked, asked.prompts)
    assert public_request(parse_train_spec(stored, source="cli"), asked.prompts) == stored


def test_streams_are_the_same_everywhere_and_differ_by_name():
    assert derived_seed(0, "case", 1) == derived_seed(0, "case", 1) == 1786539132
    names = [(0, "a"), (1, "a"), (0, "b"), (0, "a", 1), (0, "a", "x")]
    assert len({derived_seed(*name) for name in names}) == len(names)
    assert all(0 <= derived_seed(n) < 2**31 for n in range(1000))
    assert stream(7, "x").random() == stream(7, "x").random() != stream(7, "y").random()


def checkpoint(score: float | None, fingerprint: str | None = "f") -> Checkpoint:
    metadata = {} if fingerprint is None else {"dataset_fingerprint": fingerprint}
    at = datetime(2026, 1, 31, tzinfo=UTC)
    return Checkpoint("a", "w", 3, {}, {"validation_score": score}, metadata, None, True, at)


@pytest.mark.parametrize(
    ("incumbent", "score", "fingerprint", "takes", "why"),
    [
        (None, 0.0, "f", True, "first checkpoint"),
        (None, None, "f", False, "no validation score"),
        (checkpoint(0.5), 0.50001, "f", True, "better than 0.5"),
        (checkpoint(0.5), 0.5, "f", False, "not better"),
        (checkpoint(0.5), 0.4, "f", False, "not better"),
        (checkpoint(0.5), None, "f", False, "no validation score"),
        (checkpoint(0.5), 0.9, "g", False, "another dataset"),
        (checkpoint(0.5, None), 0.9, "f", False, "another dataset"),
        (checkpoint(None), 0.1, "f", True, "better"),
    ],
)
def test_only_a_better_score_on_the_same_dataset_becomes_best(
    incumbent: Checkpoint | None, score: float | None, fingerprint: str, takes: bool, why: str
):
    found, reason = becomes_best(incumbent, score, fingerprint)
    assert found is takes
    assert why in reason


def test_a_checkpoint_gives_its_prompts():
    config = {"prompts": {"system": {"text": "Hi.", "requires_grad": True}}, "other": 1}
    at = datetime(2026, 1, 31, tzinfo=UTC)
    found = Checkpoint("a", "w", 1, config, {}, {}, None, False, at)
    assert found.prompts["system"].text == "Hi."
    assert Checkpoint("a", "w", 1, {}, {}, {}, None, False, at).prompts == {}
