"""What a training request may ask for, and what a Prefect server is told of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from prefect.client.orchestration import get_client

from cornerman.cli.commands.train import continued_run
from cornerman.cli.main import run
from cornerman.domain.errors import BadInputError
from cornerman.flows.train import train_workflow
from tests.support.http_standin import HttpReply, HttpStandin
from tests.support.llm_standin import LLMStandin
from tests.support.training import CLIMBING_AGENT, World, climb, request_of

REFUSED: list[tuple[str, Any, str]] = [
    ("optimizer.epochs", 0, "1"),
    ("optimizer.epochs", 51, "50"),
    ("optimizer.checkpoint_interval", 0, "1"),
    ("optimizer.checkpoint_interval", 101, "100"),
    ("optimizer.case_timeout_seconds", 0.5, "1"),
    ("optimizer.case_timeout_seconds", 301, "300"),
    ("optimizer.max_concurrency", 0, "1"),
    ("optimizer.max_concurrency", 257, "256"),
    ("optimizer.patience", 0, "1"),
    ("optimizer.target_score", 1.5, "1"),
    ("optimizer.max_cost_usd", -1, "0"),
    ("optimizer.max_seconds", 0, "0"),
    ("optimizer.strategy", "luck", "reflective"),
    ("optimizer.epoch", 3, "epochs"),
    ("max_cases", 0, "0"),
    ("evaluators", [], "at least 1"),
    ("evaluators.0.weight", 0, "0"),
    ("dataset.cases", [], "at least one case"),
    ("dataset.split", {"train": 0.9, "validation": 0.9, "test": 0.2}, "add up to 1"),
    ("prompts", {"system": {"text": "LEVEL 1"}}, "requires_grad"),
    ("surprise", 1, "unknown field"),
]


def _changed(path: str, value: Any) -> dict[str, Any]:
    request: Any = request_of()
    *parents, last = path.split(".")
    place = request
    for name in parents:
        place = place[int(name) if name.isdecimal() else name]
    place[last] = value
    return request


@pytest.mark.parametrize(("path", "value", "limit"), REFUSED)
def test_a_request_over_a_limit_is_refused_with_field_value_and_limit(
    path: str,
    value: Any,
    limit: str,
    world: World,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(yaml.safe_dump(_changed(path, value)))
    assert run(["train", str(spec), "--json"]) == 2
    refusal = json.loads(capsys.readouterr().out)
    assert refusal["error"] == "bad_input"
    assert path in refusal["message"] and limit in refusal["message"]
    if isinstance(value, (int, float)) and path not in ("surprise", "optimizer.epoch"):
        assert str(value) in refusal["message"]
    assert world.rows("SELECT * FROM runs") == []


async def _parameters_in_prefect(world: World) -> dict[str, Any]:
    async with get_client() as client:
        flow_run = await client.read_flow_run(UUID(world.run().flow_run_id or ""))
    return flow_run.parameters["parameters"]


async def test_prefect_is_not_told_a_key_from_the_spec(world: World) -> None:
    async with HttpStandin(lambda n: HttpReply(body='"yes"')) as server:
        graph = {"http": {"url": server.url, "headers": {"X-Key": "hired-0123456789"}}}
        await world.train(request_of(2, graph_config=graph))
    assert server.headers[0]["X-Key"] == "hired-0123456789"
    told = await _parameters_in_prefect(world)
    assert told["graph_config"]["http"]["headers"] == {"X-Key": "(not stored)"}
    assert (told["run_id"], len(told["dataset"]["cases"])) == ("r1", 2)


async def test_a_run_with_a_key_in_its_spec_asks_for_the_spec_again(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "spec.yaml"
    async with HttpStandin(lambda n: HttpReply(body='{"output": "yes"}')) as server:
        headers = {"Authorization": "Bearer hired-0123456789"}
        request = request_of(3, graph_config={"http": {"url": server.url, "headers": headers}})
        spec.write_text(yaml.safe_dump(request))
        first = await world.train(request)
        assert run(["train", "--resume", "r1", "--json"]) == 2
        assert "not stored" in json.loads(capsys.readouterr().out)["message"]
        again = await train_workflow(continued_run(world.run(), str(spec)))
    assert again["best_checkpoint"] == first["best_checkpoint"]
    assert run(["runs", "show", "r1", "--json"]) == 0
    assert "hired-0123456789" not in capsys.readouterr().out


async def test_a_dataset_of_megabytes_is_trained_on_and_not_told_to_prefect(world: World) -> None:
    agent = world.agent("def agent(inputs, prompts, context): return len(inputs['text'])")
    cases = [{"inputs": {"text": "x" * 200_000}, "expected_output": 200_000} for _ in range(5)]
    result = await world.train(request_of(graph_config=agent, dataset={"cases": cases}))
    assert result["seed_score"] == 1.0
    told = await _parameters_in_prefect(world)
    assert told["dataset"]["cases"] == "(5 cases, not shown)"


async def test_prefects_retry_of_a_flow_run_continues_the_same_run(world: World) -> None:
    from cornerman.domain.training import TrainParameters

    module = world.module(
        CLIMBING_AGENT
        + "\nasked = 0\n"
        + "def flaky(context):\n"
        + "    global asked\n"
        + "    asked += 1\n"
        + "    if asked in (6, 7):\n"
        + "        raise ValueError('not yet')\n"
        + "    return context.output == 'yes'\n"
    )
    graph = {"entrypoint": f"{module}:agent"}
    optimizer = {"epochs": 2, "max_concurrency": 1}
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        request = request_of(
            4, graph_config=graph, evaluator=f"{module}:flaky", optimizer=optimizer
        )
        # Without prompts of its own a run starts from the best, which its first try may move.
        await world.train(request | {"optimizer": {"epochs": 1, "max_concurrency": 1}}, "before")
        del request["prompts"]
        retried = train_workflow.with_options(retries=1)
        result = await retried(TrainParameters(**request))
    run_id = result["run_id"]
    assert result["status"] == "completed" and run_id.startswith("train-")
    assert [row["id"] for row in world.rows("SELECT id FROM runs WHERE id <> 'before'")] == [run_id]
    assert result["cases"]["errored"] == 0
    ends = [p["status"] for p in world.payloads("training_result", run_id)]
    assert ends == ["failed", "completed"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"dataset": {"cases": [{"inputs": {"need": 9}}]}}, "dataset"),
        ({"evaluators": [{"id": "right", "entrypoint": "contains"}]}, "dataset"),
        ({"prompts": {"system": {"text": "LEVEL 9", "requires_grad": True}}}, "prompts"),
        ({"optimizer": {"epochs": 1, "seed": 5}}, "optimizer.seed"),
        ({"graph_config": None}, "graph_config"),
    ],
)
async def test_a_run_is_not_continued_with_another_request(
    world: World, changes: dict[str, Any], field: str
) -> None:
    request = request_of(2, graph_config=world.agent(CLIMBING_AGENT))
    await world.train(request)
    with pytest.raises(BadInputError, match=f"^{field}: ") as refused:
        await world.train(request | changes)
    assert refused.value.field == field
    assert world.run().status == "completed"


async def test_a_simulated_run_is_not_continued_with_a_real_model(world: World) -> None:
    await world.train(request_of(2))
    assert world.run().simulated
    world.use_model("http://127.0.0.1:9/v1")
    with pytest.raises(BadInputError, match="has simulated scores"):
        await world.train(request_of(2))


async def test_max_cases_under_ten_says_what_scores_are_worth(world: World) -> None:
    result = await world.train(
        request_of(20, graph_config=world.agent(CLIMBING_AGENT), max_cases=4)
    )
    assert result["dataset"]["note"].startswith("4 cases are under 10")
    assert result["test_score"]["value"] is None and result["test_score"]["n"] == 0
