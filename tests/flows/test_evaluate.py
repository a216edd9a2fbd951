"""Evaluating: columns on the same cases, compared in pairs, judged by a bar, nothing rewritten."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cornerman.domain.errors import BadInputError, CornermanError, NotFoundError
from cornerman.storage import budgets, checkpoints
from cornerman.storage.checkpoints import NewCheckpoint
from tests.support.llm_standin import LLMStandin, Reply
from tests.support.training import CLIMBING_AGENT, World, climb, request_of

SPENT = "SELECT COALESCE(SUM(cost_pico), 0) AS spent FROM llm_calls WHERE run_id = 'e1'"
PRICES = '{"gpt-4o-mini": {"input": 1000, "output": 1000}, "other": [1000, 1000]}'


def by_model(request: dict[str, Any], n: int) -> Reply:
    """`other` answers everything with no; the rest climb."""
    return Reply(text="no") if request["model"] == "other" else climb(request, n)


def store_best(world: World, level: int, name: str = "best-1", workflow: str = "climb") -> str:
    """A checkpoint of prompts of that level, the workflow's best."""
    prompt = {"text": f"LEVEL {level}", "requires_grad": True}
    new = NewCheckpoint(name, workflow, {"prompts": {"system": prompt}}, {}, {})
    with world.db.writing() as session:
        checkpoints.create_checkpoint(session, new)
        checkpoints.update_best(session, workflow, name, reason="as the test wants", by="test")
    return name


async def test_prompts_are_scored_and_nothing_is_rewritten(world: World) -> None:
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        result = await world.evaluate(request_of(8, optimizer={"epochs": 5}))
        assert server.total == 8
    column = result["columns"][0]
    assert (result["status"], result["passed"]) == ("completed", True)
    assert (column["model"], column["checkpoint"]) == ("gpt-4o-mini", None)
    assert (column["score"]["value"], column["score"]["n"]) == (0.25, 8)
    assert column["cost_usd"] == pytest.approx(result["cost_usd"])
    assert result["comparisons"] == []
    run = world.run("e1")
    assert (run.kind, run.status) == ("evaluate", "completed")
    assert world.rows("SELECT * FROM agentensor_checkpoints") == []


async def test_its_events_are_an_evaluators(world: World) -> None:
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        await world.evaluate(request_of(4))
    found = world.events(run_id="e1")
    assert {event.node for event in found} == {"agentensor_evaluator"}
    assert [event.event for event in found] == ["evaluation_progress"] * 4 + ["evaluation_result"]


async def test_prompts_need_not_be_trainable(world: World) -> None:
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        result = await world.evaluate(request_of(4, prompts={"system": {"text": "LEVEL 4"}}))
    assert result["columns"][0]["score"]["value"] == 1.0


async def test_checkpoints_and_models_are_columns_on_the_same_cases(world: World) -> None:
    best = store_best(world, 4)
    async with LLMStandin(by_model) as server:
        world.use_model(server.base_url, MODEL_PRICES=PRICES)
        request = request_of(12, checkpoints=["spec", "best"], models=["gpt-4o-mini", "other"])
        result = await world.evaluate(request)
    found = [(c["checkpoint"], c["model"], c["score"]["value"]) for c in result["columns"]]
    assert found == [
        (None, "gpt-4o-mini", 0.25),
        (None, "other", 0.0),
        (best, "gpt-4o-mini", 1.0),
        (best, "other", 0.0),
    ]
    assert len(result["comparisons"]) == 6
    change = result["comparisons"][1]
    assert change["before"] == {"model": "gpt-4o-mini", "checkpoint": None}
    assert change["after"] == {"model": "gpt-4o-mini", "checkpoint": best}
    assert (change["mean"], change["n"]) == (0.75, 12)
    assert 0 < change["low"] < change["high"]


async def test_without_prompts_the_best_checkpoint_is_scored(world: World) -> None:
    best = store_best(world, 4)
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        result = await world.evaluate(request_of(4, prompts=None))
    assert [column["checkpoint"] for column in result["columns"]] == [best]


@pytest.mark.parametrize(("min_score", "passed"), [(0.25, True), (0.26, False)])
async def test_a_mean_below_min_score_does_not_pass(
    world: World, min_score: float, passed: bool
) -> None:
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        result = await world.evaluate(request_of(8, min_score=min_score))
    assert (result["status"], result["passed"]) == ("completed", passed)
    assert passed or "0.2500 is below min_score of 0.26" in result["failures"][0]


async def test_worse_than_the_best_does_not_pass_and_better_does(world: World) -> None:
    best = store_best(world, 3)
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        worse = await world.evaluate(request_of(12, not_worse_than="best"))
        level = {"system": {"text": "LEVEL 4"}}
        request = request_of(12, not_worse_than=best, prompts=level)
        better = await world.evaluate(request, "e2")
    assert (
        not worse["passed"] and "spec with gpt-4o-mini: worse than best-1" in worse["failures"][0]
    )
    assert [(c["checkpoint"], c["judged"]) for c in worse["columns"]] == [
        (None, True),
        (best, False),
    ]
    assert worse["comparisons"][0]["before"]["checkpoint"] == best
    assert better["passed"]


async def test_the_bar_of_min_score_is_not_for_what_is_compared_with(world: World) -> None:
    store_best(world, 1)
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        level = {"system": {"text": "LEVEL 4"}}
        request = request_of(8, prompts=level, not_worse_than="best", min_score=0.9)
        result = await world.evaluate(request)
    assert result["passed"]


@pytest.mark.parametrize(("split", "n"), [("train", 10), ("test", 4), ("all", 20)])
async def test_a_split_is_what_is_scored(world: World, split: str, n: int) -> None:
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        result = await world.evaluate(request_of(20, split=split))
    assert result["columns"][0]["score"]["n"] == n
    rows = world.rows("SELECT DISTINCT split FROM case_results ORDER BY split")
    names = [row["split"] for row in rows]
    assert names == (["test", "train", "validation"] if split == "all" else [split])


REFUSED: list[tuple[dict[str, Any], str, type[CornermanError]]] = [
    (
        {"split": "test"},
        "split: the dataset has no test cases (4 cases are under 10",
        BadInputError,
    ),
    ({"checkpoints": ["nope"]}, "checkpoints: workflow 'climb' has no checkpoint", NotFoundError),
    ({"not_worse_than": "best"}, "not_worse_than: workflow 'climb' has no best", NotFoundError),
    ({"prompts": None}, "prompts: none are given", BadInputError),
    ({"prompts": None, "checkpoints": ["spec"]}, "checkpoints: 'spec' was asked", BadInputError),
]


@pytest.mark.parametrize(("change", "said", "kind"), REFUSED)
async def test_what_cannot_be_scored_is_refused_by_its_field(
    world: World, change: dict[str, Any], said: str, kind: type[CornermanError]
) -> None:
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        with pytest.raises(kind) as refused:
            await world.evaluate(request_of(4, **change))
        assert server.total == 0
    assert refused.value.message.startswith(said)


async def test_a_model_without_a_price_is_refused(world: World) -> None:
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        with pytest.raises(BadInputError, match="No price is known for model 'acme-9'"):
            await world.evaluate(request_of(4, models=["acme-9"]))


async def test_a_checkpoint_of_another_workflow_is_not_found(world: World) -> None:
    store_best(world, 1, "theirs", workflow="another")
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        with pytest.raises(NotFoundError, match="'climb' has no checkpoint 'theirs'"):
            await world.evaluate(request_of(4, checkpoints=["theirs"]))


async def test_the_budget_is_never_passed_and_columns_keep_the_same_cases(world: World) -> None:
    store_best(world, 4)
    prompt = {"text": "LEVEL 1", "model_kwargs": {"max_tokens": 8}}
    request = request_of(
        20,
        prompts={"system": prompt},
        checkpoints=["spec", "best"],
        optimizer={"max_cost_usd": 1.0, "max_concurrency": 1},
    )
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url, MODEL_PRICES=PRICES, DAILY_BUDGET_USD="1000")
        result = await world.evaluate(request)
    assert (result["status"], result["stopped_by"]) == ("stopped", "budget")
    assert not result["passed"]
    assert world.rows(SPENT)[0]["spent"] / 10**12 <= 1.0
    sizes = [column["score"]["n"] for column in result["columns"]]
    assert 0 < sizes[0] < 20 and sizes[0] - sizes[1] in (0, 1)


async def test_the_kill_switch_stops_it(world: World) -> None:
    with world.db.writing() as session:
        budgets.create_kill_switch_state(session, active=True, reason="odd bills", by="me")
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        result = await world.evaluate(request_of(4))
        assert server.total == 0
    assert (result["status"], result["stopped_by"]) == ("stopped", "kill_switch")


async def test_a_stopped_evaluation_goes_on_and_runs_no_case_twice(world: World) -> None:
    store_best(world, 4)
    prompt = {"text": "LEVEL 1", "model_kwargs": {"max_tokens": 8}}
    request = request_of(12, prompts={"system": prompt}, checkpoints=["spec", "best"])
    poor = request | {"optimizer": {"max_cost_usd": 0.6, "max_concurrency": 1}}
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url, MODEL_PRICES=PRICES, DAILY_BUDGET_USD="1000")
        first = await world.evaluate(poor)
        store_best(world, 2, "best-2")
        again = await world.evaluate(request)
        total = server.total
    assert (first["status"], again["status"]) == ("stopped", "completed")
    assert total <= 24 + 1
    # It goes on with the checkpoint that was the best when it began.
    assert [column["checkpoint"] for column in again["columns"]] == [None, "best-1"]
    assert [column["score"]["n"] for column in again["columns"]] == [12, 12]


async def test_a_time_limit_leaves_the_bar_unjudged(world: World) -> None:
    agent = world.agent("import time\ndef agent(inputs, prompts): time.sleep(0.3); return 'yes'")
    optimizer = {"max_seconds": 3, "max_concurrency": 1}
    request = request_of(60, graph_config=agent, optimizer=optimizer, min_score=0.1)
    result = await world.evaluate(request)
    assert (result["status"], result["stopped_by"]) == ("stopped", "max_seconds")
    assert not result["passed"] and result["failures"] == []


async def test_a_column_whose_cases_error_fails_the_run_and_says_how_to_go_on(
    world: World,
) -> None:
    agent = world.agent(
        "def agent(inputs, prompts):\n"
        "    if prompts['system'].model == 'other': raise ValueError('no such model')\n"
        "    return 'yes'"
    )
    world.set(MODEL_PRICES=PRICES)
    request = request_of(8, graph_config=agent, models=["gpt-4o-mini", "other"])
    with pytest.raises(CornermanError, match="cases errored") as failed:
        await world.evaluate(request)
    assert "cornerman evaluate --resume" in failed.value.hint
    run = world.run("e1")
    assert (run.status, (run.result or {})["passed"]) == ("failed", False)


async def test_an_agent_that_ignores_the_model_is_told_of(world: World) -> None:
    agent = world.agent(
        "async def agent(inputs, prompts, context):\n"
        "    messages = [{'role': 'user', 'content': 'LEVEL 9: 1'}]\n"
        "    return await context.chat(messages, model='gpt-4o-mini')"
    )
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url, MODEL_PRICES=PRICES)
        result = await world.evaluate(request_of(4, graph_config=agent, models=["other"]))
    assert any("the agent called gpt-4o-mini instead" in note for note in result["notes"])


async def test_an_agent_that_reads_no_prompt_is_scored_all_the_same(world: World) -> None:
    agent = world.agent("def agent(inputs): return 'yes'")
    result = await world.evaluate(request_of(8, graph_config=agent))
    assert result["columns"][0]["score"]["value"] == 1.0


async def test_an_interrupted_evaluation_pays_for_no_finished_case_again(world: World) -> None:
    async with LLMStandin(climb, latency=0.1) as server:
        world.use_model(server.base_url)
        request = request_of(12, optimizer={"max_concurrency": 2})
        work = asyncio.create_task(world.evaluate(request))
        while server.total < 5:
            await asyncio.sleep(0.02)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        done = len(world.payloads("evaluation_progress", "e1"))
        before = server.total
        result = await world.evaluate(request)
        assert server.total - before <= 12 - done
    assert done and result["columns"][0]["score"]["n"] == 12


async def test_retraining_and_the_last_training_do_not_see_it(world: World) -> None:
    from cornerman.storage import runs

    await world.evaluate(request_of(4, graph_config=world.agent(CLIMBING_AGENT)))
    with world.db.reading() as session:
        assert runs.read_runs(session, kind="train", workflow_id="climb") == []
        assert [run.id for run in runs.read_runs(session, kind="evaluate")] == ["e1"]
