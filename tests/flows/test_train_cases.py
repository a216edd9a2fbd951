"""What becomes of single cases: scored, timed out or errored, at most eight at once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from cornerman.domain.errors import CornermanError
from cornerman.settings import reset_settings
from tests.support.llm_standin import LLMStandin, Reply
from tests.support.training import (
    CLIMBING_AGENT,
    World,
    cases_of,
    climb,
    is_optimizer,
    request_of,
)

SECOND = {"case_timeout_seconds": 1}


def _cases(*inputs: dict[str, Any]) -> dict[str, Any]:
    return {"cases": [{"inputs": given, "expected_output": "yes"} for given in inputs]}


async def test_ten_at_once_were_asked_for_and_eight_run(world: World) -> None:
    async with LLMStandin(climb, latency=0.15) as server:
        world.use_model(server.base_url)
        result = await world.train(request_of(24, optimizer={"max_concurrency": 10}))
        assert server.max_in_flight == 8
    assert (result["requested_concurrency"], result["max_concurrency"]) == (10, 8)


async def test_the_setting_moves_the_cap(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_CONCURRENT_CASES", "20")
    reset_settings()
    async with LLMStandin(climb, latency=0.4) as server:
        world.use_model(server.base_url)
        result = await world.train(request_of(60, optimizer={"max_concurrency": 256}))
        assert server.max_in_flight == 20
    assert (result["requested_concurrency"], result["max_concurrency"]) == (256, 20)


async def test_rewrites_too_are_no_more_at_once_than_was_asked_for(world: World) -> None:
    async with LLMStandin(climb, latency=0.05) as server:
        world.use_model(server.base_url)
        options = {"max_concurrency": 2, "epochs": 2, "proposals": 6}
        await world.train(request_of(12, optimizer=options))
        rewrites = [request for request in server.requests if is_optimizer(request.body)]
        assert len(rewrites) == 6
        assert server.max_in_flight == 2


async def test_eight_sync_agents_really_run_in_parallel(world: World) -> None:
    agent = world.agent(
        """
        import threading, time
        now, most, lock = 0, 0, threading.Lock()

        def agent(inputs, prompts, context):
            global now, most
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.25)
            with lock:
                now -= 1
            return {"most": most, "now": now}
        """
    )
    request = request_of(16, graph_config=agent, optimizer={"max_concurrency": 10})
    result = await world.train(request)
    assert max(line["output"]["most"] for line in result["results"]) == 8


IGNORING = """
import asyncio, time

async def agent(inputs, prompts, context):
    kind = inputs["kind"]
    if kind == "stubborn":
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                continue
    if kind == "late":
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "yes"
    if kind == "exits":
        raise SystemExit(3)
    if kind == "cancels":
        raise asyncio.CancelledError
    if kind == "own":
        raise TimeoutError("of my own")
    return "yes"

def blocking(inputs, prompts, context):
    time.sleep(60 if inputs["kind"] == "stubborn" else 0)
    return "yes"
"""


@pytest.mark.parametrize("name", ["agent", "blocking"])
async def test_a_case_that_ignores_cancellation_holds_nothing_up(world: World, name: str) -> None:
    agent = world.agent(IGNORING, name)
    kinds = [{"kind": "stubborn"}, *({"kind": f"fine {n}"} for n in range(3))]
    request = request_of(graph_config=agent, dataset=_cases(*kinds), optimizer=SECOND)
    result = await world.train(request)
    [first, *others] = world.payloads("training_progress")[-1:] + result["results"][1:]
    assert (first["status"], first["score"]) == ("timed_out", 0.0)
    assert 1000 <= first["duration_ms"] < 2000
    assert [line["status"] for line in others] == ["scored"] * 3
    assert result["seed_score"] == 0.75
    assert result["cases"] == {"scored": 3, "timed_out": 1, "errored": 0}


async def test_an_answer_after_the_time_is_no_answer(world: World) -> None:
    agent = world.agent(IGNORING)
    dataset = _cases({"kind": "late"})
    result = await world.train(request_of(graph_config=agent, dataset=dataset, optimizer=SECOND))
    [case] = result["results"]
    assert (case["status"], case["score"], case["output"]) == ("timed_out", 0.0, None)
    assert "case_timeout_seconds of 1" in case["error"]


async def test_errors_of_users_code_are_told_apart_and_end_no_run(world: World) -> None:
    agent = world.agent(IGNORING)
    kinds = [{"kind": k} for k in ("exits", "cancels")] + [{"kind": str(n)} for n in range(10)]
    dataset = _cases(*kinds) | {"split": {"train": 0.5, "validation": 0.5, "test": 0}}
    await world.train(request_of(graph_config=agent, dataset=dataset))
    [exits, cancels] = world.rows("SELECT * FROM case_results WHERE status = 'errored'")
    assert "tried to leave the process" in exits["error"]
    assert "cancelled by its own code" in cancels["error"]


async def test_the_time_out_covers_the_evaluators_and_cancels_async_work(world: World) -> None:
    evaluators = world.module(
        """
        import asyncio
        cancelled = []

        async def slow(context):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(context.output)
                raise
        """
    )
    agent = world.agent(CLIMBING_AGENT)
    request = request_of(1, graph_config=agent, evaluator=f"{evaluators}:slow", optimizer=SECOND)
    result = await world.train(request)
    assert result["results"][0]["status"] == "timed_out"
    assert result["results"][0]["output"] == "yes"
    import sys

    assert sys.modules[evaluators].cancelled == ["yes"]


async def test_an_error_that_may_pass_is_tried_three_times(world: World) -> None:
    agent = world.agent(
        """
        from collections import Counter
        tried = Counter()

        def agent(inputs, prompts, context):
            tried[inputs["need"]] += 1
            if inputs["need"] == 1 and tried[1] < 3:
                raise ConnectionError("the line is busy")
            if inputs["need"] == 2:
                raise ConnectionError("the line is cut")
            if inputs["need"] == 3:
                raise KeyError("a bug")
            return "yes"
        """
    )
    dataset = {"cases": cases_of(3) + cases_of(12, levels=12)[3:]}
    await world.train(request_of(graph_config=agent, dataset=dataset))
    rows = {row["case_id"]: row for row in world.rows("SELECT * FROM case_results")}
    assert (rows["k0"]["status"], rows["k1"]["status"]) == ("scored", "errored")
    assert (rows["k1"]["attempts"], rows["k2"]["attempts"]) == (3, 1)
    assert "the line is cut" in rows["k1"]["error"]


async def test_errored_cases_are_left_out_of_the_mean_and_counted(world: World) -> None:
    agent = world.agent(
        """
        def agent(inputs, prompts, context):
            if inputs["n"] == 2:
                raise ValueError("no such order")
            return "yes" if inputs["n"] else "no"
        """
    )
    dataset = _cases(*({"n": n} for n in range(5)))
    result = await world.train(request_of(graph_config=agent, dataset=dataset))
    assert result["cases"] == {"scored": 4, "timed_out": 0, "errored": 1}
    assert result["seed_score"] == 0.75
    [failed] = [p for p in world.payloads("training_progress") if p["status"] == "errored"]
    assert failed["case_index"] == 2 and failed["score"] is None
    assert failed["error"] == {"type": "ValueError", "message": "no such order"}


async def test_too_many_errored_cases_fail_the_run_which_keeps_them(world: World) -> None:
    module = world.module(
        """
        broken = True

        def agent(inputs, prompts, context):
            if broken and inputs["n"] < 2:
                raise ValueError("no such order")
            return "yes"
        """
    )
    dataset = _cases(*({"n": n} for n in range(6)))
    request = request_of(graph_config={"entrypoint": f"{module}:agent"}, dataset=dataset)
    with pytest.raises(CornermanError, match=r"2 of 6 cases errored.*20%.*no such order"):
        await world.train(request)
    run = world.run()
    assert (run.status, run.stopped_by) == ("failed", "error")
    assert run.error is not None and "no such order" in run.error["message"]
    assert Counter(p["status"] for p in world.payloads("training_progress"))["errored"] == 2
    assert world.payloads("training_result")[0]["error"]["type"] == "TooManyErroredError"

    # Once the agent is mended, the run goes on: what was scored stays, what errored is run again.
    import sys

    sys.modules[module].broken = False
    scored = {p["case_id"] for p in world.payloads("training_progress") if p["status"] == "scored"}
    result = await world.train(request)
    assert (result["status"], result["seed_score"]) == ("completed", 1.0)
    again = [p["case_id"] for p in world.payloads("training_progress")]
    assert all(again.count(case_id) == 1 for case_id in scored)


async def test_an_agent_that_cannot_work_is_not_tried_on_every_case(world: World) -> None:
    async with LLMStandin(lambda request, n: Reply(text="no such key", status=401)) as server:
        world.use_model(server.base_url)
        with pytest.raises(CornermanError, match="errored"):
            await world.train(request_of(60))
        assert server.total < 30


async def test_max_cases_1_of_2_runs_exactly_one_case_an_epoch(world: World) -> None:
    def script(request: dict[str, Any], n: int) -> Reply:
        if is_optimizer(request):
            return Reply(text=f"<rewrite>LEVEL 1, in other words {n}</rewrite>")
        return climb(request, n)

    async with LLMStandin(script) as server:
        world.use_model(server.base_url)
        dataset = _cases({"need": 4}, {"need": 4})
        request = request_of(dataset=dataset, max_cases=1, optimizer={"epochs": 3, "proposals": 3})
        await world.train(request)
    progress = world.payloads("training_progress")
    assert [(p["epoch"], p["case_index"]) for p in progress] == [(1, 0), (2, 0), (3, 0)]


async def test_cases_do_not_share_memory(world: World) -> None:
    module = world.module(
        """
        def agent(inputs, prompts, context):
            inputs["seen"].append(1)
            prompts["system"] = "spoilt"
            prompts.clear()
            return {"seen": inputs["seen"], "list": [1]}

        def spoil(context):
            context.output["list"].append(2)
            context.inputs["seen"].append(3)
            context.expected_output.append(4)
            context.metadata["x"].append(5)
            return True

        def check(context):
            given = [context.inputs["seen"], context.expected_output, context.metadata["x"]]
            return given == [[], [], []] and context.output == {"seen": [1], "list": [1]}
        """
    )
    case = {"inputs": {"seen": []}, "expected_output": [], "metadata": {"x": []}}
    request = request_of(
        graph_config={"entrypoint": f"{module}:agent"},
        dataset={"cases": [case] * 4},
        evaluators=[{"id": name, "entrypoint": f"{module}:{name}"} for name in ("spoil", "check")],
        optimizer={"repeats": 2},
    )
    result = await world.train(request)
    assert result["seed_score"] == 1.0
    assert result["cases"]["scored"] == 8
    assert result["results"][0]["inputs"] == {"seen": []}


async def test_case_index_is_the_place_in_the_dataset_in_every_split(world: World) -> None:
    agent = world.agent(CLIMBING_AGENT)
    await world.train(request_of(20, graph_config=agent, max_cases=15))
    progress = world.payloads("training_progress")
    assert {p["split"] for p in progress} == {"train", "validation", "test"}
    assert sorted(p["case_index"] for p in progress) == list(range(15))
    assert all(p["case_id"] == f"k{p['case_index']}" for p in progress)
    assert set(progress[0]) >= {
        *("case_index", "case_id", "epoch", "status", "inputs", "output", "evaluations"),
        *("error", "duration_ms", "cost_usd"),
    }


async def test_repeats_run_each_case_so_often_and_score_their_mean(world: World) -> None:
    agent = world.agent(
        """
        from collections import Counter
        seen = Counter()

        def agent(inputs, prompts, context):
            seen[inputs["need"]] += 1
            return "yes" if seen[inputs["need"]] % 2 else "no"
        """
    )
    result = await world.train(request_of(2, graph_config=agent, optimizer={"repeats": 4}))
    assert result["seed_score"] == 0.5
    assert len(world.payloads("training_progress")) == 8


async def test_a_case_that_waits_for_money_is_not_timed_out(world: World) -> None:
    # Room for one call at a time: the last of five waits longer than its own time-out.
    def slow(request: dict[str, Any], n: int) -> Reply:
        return Reply(text="yes", delay=0.8, usage=(10, 1))

    async with LLMStandin(slow) as server:
        prices = '{"gpt-4o-mini": {"input": 1, "output": 10}}'
        world.use_model(server.base_url, MODEL_PRICES=prices)
        prompts = {
            "system": {
                "text": "LEVEL 1",
                "requires_grad": True,
                "model_kwargs": {"max_tokens": 100},
            }
        }
        stops = {"case_timeout_seconds": 3, "max_cost_usd": 0.0019}
        request = request_of(5, prompts=prompts, optimizer=SECOND | stops)
        result = await world.train(request)
        assert server.max_in_flight == 1
    assert result["cases"] == {"scored": 5, "timed_out": 0, "errored": 0}
