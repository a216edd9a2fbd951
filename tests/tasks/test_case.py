"""One case: called, scored, booked and stored once, whatever the user's code does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from cornerman.domain.errors import (
    BudgetExceededError,
    ConflictError,
    KillSwitchActiveError,
    LLMError,
    RunCancelledError,
)
from cornerman.domain.training.cases import CaseResult
from cornerman.storage import budgets, runs
from cornerman.tasks.case import (
    CaseErroredError,
    errored_result,
    run_case,
    store_case,
)
from cornerman.tasks.case_progress import CaseOverError
from tests.support.llm_standin import Reply
from tests.tasks import users_code
from tests.tasks.conftest import Bench

MakeBench = Callable[..., Bench]


@pytest.fixture(autouse=True)
def fresh_users_code() -> Iterator[None]:
    users_code.LET_GO.clear()
    users_code.SEEN.clear()
    yield
    users_code.LET_GO.set()


def as_stored(result: CaseResult) -> CaseResult:
    """Without what a row does not hold: metadata, which is the request's."""
    return replace(result, case=replace(result.case, metadata={}))


async def run(bench: Bench, **job: Any) -> Any:
    return await run_case.fn(bench.context, bench.job(**job))


async def test_a_case_is_one_call_one_row_and_one_event(make_bench: MakeBench):
    bench = make_bench()
    bench.server.script = lambda request, n: Reply("4", usage=(1000, 100))
    result = await run(bench)
    assert (result.status, result.score, result.output) == ("scored", 1.0, "4")
    assert bench.rows() == [as_stored(result)]
    (event,) = bench.events()
    assert (event.event, event.payload["case_index"]) == ("training_progress", 1)
    assert event.payload["evaluations"]["exact_match"]["passed"] is True
    (line,) = bench.ledger()
    assert (line["calls"], line["input_tokens"], line["output_tokens"]) == (1, 1000, 100)
    assert result.model_calls == 1 and result.cost_usd == line["cost_usd"] > 0


async def test_the_event_has_what_readers_are_promised(make_bench: MakeBench):
    bench = make_bench(agent="right")
    await run(bench)
    names = "case_index case_id epoch status inputs output evaluations error duration_ms cost_usd"
    assert list(bench.events()[0].payload)[:10] == names.split()


async def test_a_case_that_is_stored_already_is_not_stored_again(make_bench: MakeBench):
    bench = make_bench(agent="right")
    first = await run(bench)
    await run(bench)
    await run(bench, repeat=1)
    assert [row.repeat for row in bench.rows()] == [0, 1]
    assert bench.rows()[0] == as_stored(first)
    assert [event.seq for event in bench.events()] == [1, 2]


async def test_the_prompt_its_model_and_its_parameters_reach_the_model(make_bench: MakeBench):
    bench = make_bench(agent="asks_the_model")
    prompt = bench.candidate.prompts["system"]
    special = prompt.model_copy(update={"model": "gpt-4o", "model_kwargs": {"temperature": 0.7}})
    bench.candidate.prompts["system"] = special
    await run(bench)
    body = bench.server.last.body
    assert (body["model"], body["temperature"]) == ("gpt-4o", 0.7)
    assert isinstance(body["seed"], int)


async def test_a_case_gets_copies(make_bench: MakeBench):
    bench = make_bench(agent="spoils_everything")
    job = bench.job()
    for _ in range(2):
        await run_case.fn(bench.context, job)
    assert users_code.SEEN == [{"question": "2 + 2"}] * 2
    assert job.case.inputs == {"question": "2 + 2"}
    assert list(job.candidate.prompts) == ["system"]


async def test_an_evaluator_can_spoil_nothing_for_the_next_one(make_bench: MakeBench):
    bench = make_bench("returns_a_list", ["spoiling_evaluator", "looking_evaluator"])
    result = await run(bench)
    assert users_code.SEEN == [({"question": "2 + 2"}, [1, 2], {"hard": [True]}, "4")]
    assert result.output == [1, 2]
    assert result.evaluations["looking_evaluator"].reason == "looked"


@pytest.mark.parametrize(
    ("agent", "evaluator"),
    [("sleeps", "half"), ("blocks", "half"), ("right", "slow_evaluator")],
)
async def test_the_time_out_covers_agent_and_evaluators(
    make_bench: MakeBench, agent: str, evaluator: str
):
    bench = make_bench(agent, [evaluator], case_timeout_seconds=1)
    began = time.monotonic()
    result = await run(bench)
    assert 0.9 < time.monotonic() - began < 2
    assert (result.status, result.score, result.evaluations) == ("timed_out", 0.0, {})
    assert result.error is not None and "case_timeout_seconds of 1" in result.error.message
    assert result.output == (None if evaluator == "half" else "4")
    assert bench.rows() == [as_stored(result)]
    assert bench.events()[0].payload["status"] == "timed_out"


async def test_a_case_that_ignores_cancellation_is_left_behind_and_spends_nothing(
    make_bench: MakeBench,
):
    bench = make_bench("ignores_cancellation", case_timeout_seconds=1)
    began = time.monotonic()
    result = await run(bench)
    assert time.monotonic() - began < 2
    assert result.status == "timed_out"
    users_code.LET_GO.set()
    while not users_code.SEEN:
        await asyncio.sleep(0.02)
    assert isinstance(users_code.SEEN[0], CaseOverError)
    assert bench.ledger() == []


async def test_a_model_that_does_not_answer_is_a_time_out_and_its_call_is_booked(
    make_bench: MakeBench,
):
    bench = make_bench(case_timeout_seconds=1)
    bench.server.script = lambda request, n: Reply(hang=True)
    result = await run(bench)
    assert result.status == "timed_out"
    await bench.context.llm.aclose()
    (line,) = bench.ledger()
    assert (line["calls"], line["failed"]) == (1, 1)


async def errored(bench: Bench) -> Any:
    job = bench.job()
    with pytest.raises(CaseErroredError) as caught:
        await run_case.fn(bench.context, job)
    assert bench.rows() == []
    return await store_case(bench.context, errored_result(job, caught.value, attempts=1))


@pytest.mark.parametrize(
    ("agent", "evaluator", "kind", "message", "line"),
    [
        ("fails", "half", "ValueError", "the agent's own fault", "raise ValueError"),
        ("times_out_by_itself", "half", "TimeoutError", "own time-out", "raise TimeoutError"),
        ("leaves", "half", "RuntimeError", "SystemExit(3)", ""),
        ("right", "raising_evaluator", "KeyError", "no such rubric", "raise KeyError"),
        ("right", "wrong_evaluator", "InvalidVerdict", "'great'", ""),
    ],
)
async def test_a_failure_is_a_record_with_type_message_and_stack(
    make_bench: MakeBench, agent: str, evaluator: str, kind: str, message: str, line: str
):
    bench = make_bench(agent, [evaluator])
    result = await errored(bench)
    assert (result.status, result.score) == ("errored", None)
    assert result.error.type == kind
    assert message in result.error.message
    assert line in result.error.stack
    assert bench.rows() == [as_stored(result)]
    assert bench.events()[0].payload["error"] == {"type": kind, "message": result.error.message}


async def test_what_the_agent_answered_is_kept_when_an_evaluator_raises(make_bench: MakeBench):
    result = await errored(make_bench("right", ["raising_evaluator"]))
    assert result.output == "4"


async def test_a_models_hiccup_may_be_tried_again_and_a_bug_may_not(make_bench: MakeBench):
    bench = make_bench()
    bench.server.script = lambda request, n: Reply("busy", status=503)
    assert (await errored(bench)).error.retryable
    bug = make_bench("fails")
    with pytest.raises(CaseErroredError) as caught:
        await run(bug, case_id="2")
    assert not caught.value.retried


async def test_failed_calls_are_counted_on_the_case(make_bench: MakeBench):
    bench = make_bench()
    bench.server.script = lambda request, n: Reply("4") if n else Reply("busy", status=503)
    with pytest.raises(CaseErroredError):
        await run(bench)
    assert (await run(bench)).model_calls == 2


async def test_a_judges_calls_are_booked_on_the_case(make_bench: MakeBench):
    bench = make_bench(evaluators=["llm_judge"])
    verdict = '{"score": 0.75, "reason": "nearly"}'
    bench.server.script = lambda request, n: Reply(verdict if n else "4")
    result = await run(bench)
    assert {line["role"]: line["calls"] for line in bench.ledger()} == {"agent": 1, "judge": 1}
    assert result.model_calls == 2
    assert result.cost_usd == pytest.approx(sum(line["cost_usd"] for line in bench.ledger()))


async def test_a_spent_budget_stops_the_run_before_the_call(make_bench: MakeBench):
    bench = make_bench(max_cost_usd=0.000001)
    with pytest.raises(BudgetExceededError):
        await run(bench)
    assert bench.server.requests == [] and bench.rows() == []
    assert isinstance(bench.context.stopping, BudgetExceededError)
    with pytest.raises(BudgetExceededError):
        await run(bench, case_id="2")


async def test_the_kill_switch_stops_the_run(make_bench: MakeBench):
    bench = make_bench()
    turn = budgets.create_kill_switch_state
    await bench.db.write(turn, active=True, reason="smoke", by="ann")
    with pytest.raises(KillSwitchActiveError):
        await run(bench)
    assert bench.server.requests == []


async def test_a_run_that_is_stopped_starts_no_case(make_bench: MakeBench):
    bench = make_bench("spoils_everything")
    bench.context.stop(RunCancelledError("enough"))
    bench.context.stop(BudgetExceededError("day", limit_usd=1, spent_usd=1, needed_usd=1))
    with pytest.raises(RunCancelledError):
        await run(bench)
    assert users_code.SEEN == []


async def test_a_process_that_lost_its_run_stores_nothing(make_bench: MakeBench):
    bench = make_bench("right")
    with bench.db.writing() as session:
        runs.finish_run(session, "r", status="cancelled")
        runs.claim_run(session, "r", "you")
    with pytest.raises(ConflictError, match="you works on it"):
        await run(bench)
    assert bench.rows() == [] and bench.events() == []


async def test_an_answer_that_finds_no_room_is_truncated_and_its_case_is_not_run_again(
    make_bench: MakeBench,
):
    bench = make_bench()
    bench.server.script = lambda request, n: Reply(
        "", usage=(20, request["max_tokens"]), finish_reason="length"
    )
    with pytest.raises(CaseErroredError) as caught:
        await run(bench)
    result = errored_result(bench.job(), caught.value, 1)
    assert not caught.value.retried
    assert result.error and result.error.type == "truncated"
    assert isinstance(caught.value.error, LLMError)
    assert "MAX_OUTPUT_TOKENS" in caught.value.error.hint
