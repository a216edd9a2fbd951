"""The request's limits: each refused with the field's path, the value and the limit."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from cornerman.domain.errors import BadInputError
from cornerman.domain.training import TrainSpec
from cornerman.domain.training.candidates import Prompt
from cornerman.domain.training.parse import (
    parse_train_spec,
    parse_training_request,
    refuse_untrainable,
)

CASES = {"cases": [{"inputs": {"question": "1 + 1?"}, "expected_output": "2"}]}
EVALUATORS = [{"id": "exact", "entrypoint": "exact_match"}]
SYSTEM = {"text": "Answer.", "requires_grad": True}


def payload(**changes: Any) -> dict[str, Any]:
    return {"dataset": CASES, "evaluators": EVALUATORS, **changes}


def refusal(**changes: Any) -> BadInputError:
    with pytest.raises(BadInputError) as caught:
        parse_training_request(payload(**changes), source="http")
    return caught.value


def test_defaults_are_the_contracts() -> None:
    request = parse_training_request(payload(), source="http")
    optimizer = request.optimizer
    assert (optimizer.epochs, optimizer.checkpoint_interval) == (3, 1)
    assert (optimizer.case_timeout_seconds, optimizer.max_concurrency) == (30, 4)
    split = request.dataset.split
    assert (split.train, split.validation, split.test) == (0.5, 0.3, 0.2)
    assert request.weights == {"exact": 1.0}
    assert request.starting_prompts is None


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("epochs", 51, "optimizer.epochs: 51 is over the limit of 50"),
        ("epochs", 0, "optimizer.epochs: 0 is under the limit of 1"),
        ("epochs", True, "optimizer.epochs: True is not a number"),
        ("epochs", 1.5, "optimizer.epochs: 1.5 is not a whole number"),
        ("epochs", "many", "optimizer.epochs: 'many' is not a whole number"),
        ("checkpoint_interval", 101, "is over the limit of 100"),
        ("case_timeout_seconds", 300.5, "is over the limit of 300"),
        ("case_timeout_seconds", 0.5, "is under the limit of 1"),
        ("case_timeout_seconds", math.nan, "nan is not a finite number"),
        ("max_cost_usd", math.inf, "inf is not a finite number"),
        ("max_cost_usd", -1, "-1 is under the limit of 0"),
        ("max_concurrency", 0, "is under the limit of 1"),
        ("max_concurrency", 257, "is over the limit of 256"),
        ("strategy", "reflectiv", "did you mean reflective?"),
        ("epoch", 3, "optimizer.epoch: unknown field; did you mean epochs?"),
    ],
)
def test_names_field_value_and_limit(field: str, value: Any, message: str) -> None:
    error = refusal(optimizer={field: value})
    assert message in error.message
    assert error.field == f"optimizer.{field}"


@pytest.mark.parametrize(("asked", "runs"), [(1, 1), (8, 8), (10, 8), (256, 8)])
def test_concurrency_is_capped_and_not_refused(asked: int, runs: int) -> None:
    request = parse_training_request(payload(optimizer={"max_concurrency": asked}), source="python")
    assert request.optimizer.cases_at_once(8) == runs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": {"cases": []}}, "dataset.cases: is empty; give at least one case"),
        ({"dataset": {}}, "dataset: give cases or path"),
        ({"dataset": {**CASES, "path": "x.csv"}}, "dataset: give either cases or path, not both"),
        ({"dataset": {"cases": [{"input": 1}]}}, "dataset.cases.0.input: unknown field; did you"),
        ({"dataset": {"cases": [{"id": "1"}, {}]}}, "dataset.cases.1.id: '1' is the id of case 0"),
        ({"dataset": {"cases": [{"inputs": {"a": [math.nan]}}]}}, "at a.0: nan is not a finite"),
        ({"dataset": {"cases": [{"expected_output": "a\x00"}]}}, "NUL character"),
        ({"dataset": {"cases": [{"inputs": {"a": "\ud800"}}]}}, "surrogate"),
        ({"dataset": {"cases": [{"id": "a\x00"}]}}, "dataset.cases.0.id: holds a NUL"),
        ({"evaluators": [{**EVALUATORS[0], "id": "a\x00"}]}, "evaluators.0.id: holds a NUL"),
        ({"dataset": {"path": "x", "split": {"train": 0.9}}}, "must add up to 1"),
        ({"dataset": {"path": "x", "expected_pattern": "a"}}, "has 0 groups; exactly one"),
        ({"dataset": {"path": "x", "expected_pattern": "(a"}}, "is not a regular expression"),
        ({"dataset": {"path": "x", "columns": {"inputs": 3}}}, "dataset.columns.inputs: 3 is not"),
        ({"evaluators": []}, "evaluators: is empty"),
        ({"evaluators": EVALUATORS * 2}, "evaluators.1.id: 'exact' is used twice"),
        ({"evaluators": [{"id": "a", "entrypoint": "exactmatch"}]}, "did you mean exact_match?"),
        ({"evaluators": [{**EVALUATORS[0], "weight": 0}]}, "evaluators.0.weight: 0 must be over 0"),
        ({"max_cases": 0}, "max_cases: 0 must be over 0"),
        ({"foo": 1}, "foo: unknown field"),
        ({"graph_config": {"entrypoint": "os.system"}}, 'is not "module:name"'),
        ({"graph_config": {"http": {"url": "http://a"}}}, "graph_config.http: refused over HTTP"),
        ({"prompts": {"system": {"text": "x"}}}, "no prompt has requires_grad: true"),
        ({"prompts": {"main": SYSTEM}}, "has no prompt named system (it has main)"),
        ({"prompts": {"system": {**SYSTEM, "modl": 1}}}, "prompts.system.modl: unknown field"),
    ],
)
def test_refuses_what_cannot_run(changes: dict[str, Any], message: str) -> None:
    assert message in refusal(**changes).message


def test_words_at_most_ten_problems() -> None:
    evaluators = [{"id": "", "entrypoint": "exact_match"} for _ in range(13)]
    error = refusal(evaluators=evaluators)
    assert error.message.count("evaluators.") == 10
    assert error.message.endswith("and 3 more problems")


def test_shows_no_secret_in_a_refusal() -> None:
    secret = "sk-0123456789"
    evaluator = {**EVALUATORS[0], "weight": {"api_key": secret}}
    error = refusal(optimizer={"epochs": "x" * 500}, evaluators=[evaluator])
    assert secret not in error.message
    assert "x" * 100 not in error.message


def test_refuses_a_payload_that_is_no_object() -> None:
    with pytest.raises(BadInputError, match="expected an object"):
        parse_training_request([1], source="http")  # type: ignore[arg-type]


def test_takes_prompts_from_either_place() -> None:
    held = {"prompts": {"system": SYSTEM}, "configurable": {"thread_id": "t"}}
    request = parse_training_request(payload(runnable_config=held), source="http")
    assert request.starting_prompts == {"system": Prompt(**SYSTEM)}
    rewritten = {"system": Prompt(text="Better.", requires_grad=True)}
    stored = request.runnable_config_with(rewritten)
    assert stored["configurable"] == {"thread_id": "t"}
    assert stored["prompts"]["system"]["text"] == "Better."


def test_refuses_prompts_that_differ_between_the_places() -> None:
    held = {"prompts": {"system": {**SYSTEM, "text": "Other."}}}
    error = refusal(prompts={"system": SYSTEM}, runnable_config=held)
    assert error.message.startswith("prompts: differs from runnable_config.prompts")


def test_takes_an_http_agent_from_the_command_line() -> None:
    graph = {"http": {"url": "http://127.0.0.1:1/agent", "headers": {"X-A": "b"}}}
    request = parse_training_request(payload(graph_config=graph), source="cli")
    assert request.graph_config is not None
    assert request.graph_config.http is not None


@pytest.mark.parametrize("workflow_id", ["", "-a", "a/b", "../x", "a" * 129, "a\n"])
def test_refuses_unfit_workflow_ids(workflow_id: str) -> None:
    with pytest.raises(BadInputError, match="workflow_id"):
        parse_train_spec(payload(workflow_id=workflow_id), source="cli")


def test_a_checkpoints_prompts_are_checked_alike() -> None:
    with pytest.raises(BadInputError, match=r"checkpoint c: no prompt has requires_grad: true"):
        refuse_untrainable({"system": Prompt(text="x")}, None, "checkpoint c")


def test_survives_a_round_through_json() -> None:
    spec = parse_train_spec(payload(workflow_id="w", prompts={"system": SYSTEM}), source="cli")
    again = TrainSpec.model_validate_json(spec.model_dump_json())
    assert again == spec


def test_every_field_has_a_description_for_the_form() -> None:
    schema = TrainSpec.model_json_schema()
    parts = {"TrainSpec": schema, **schema["$defs"]}
    missing = [
        f"{name}.{field}"
        for name, part in parts.items()
        if name != "Prompt"
        for field, described in part.get("properties", {}).items()
        if "description" not in described
    ]
    assert missing == []
    assert json.dumps(schema)
