"""`judge` of a training request: nothing is paid for on the word of a judge not to be trusted."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cornerman.domain.errors import BadInputError, JudgeRefusedError, NotFoundError
from tests.support.judging import asked_of_labels, judge, labelled, write_labels
from tests.support.llm_standin import LLMStandin, Reply
from tests.support.training import World, request_of

RUBRIC = {"id": "fine", "entrypoint": "llm_judge", "config": {"rubric": "It is fine."}}
RIGHT = {"id": "right", "entrypoint": "exact_match"}
CALLS = "SELECT subject, cost_pico, run_id FROM llm_calls WHERE subject LIKE 'judge:%'"


def request(world: World, rows: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    file = write_labels(world.folder, rows)
    asked = {"calibration": file, "min_kappa": 0.6} | changes.pop("judge", {})
    return request_of(4, judge=asked, **({"evaluators": [RIGHT, RUBRIC]} | changes))


async def test_a_judge_that_agrees_lets_the_run_begin_and_is_paid_within_it(world: World) -> None:
    async with LLMStandin(judge) as server:
        world.use_model(server.base_url)
        result = await world.train(request(world, labelled(20, wrong=2)))
        labels_first = ["SAYS" in str(one.body["messages"]) for one in server.requests]
    assert result["status"] == "completed"
    assert labels_first[:20] == [True] * 20, "before the first case"
    facts = result["judge"]
    assert (facts["passed"], facts["scored"]) == (True, 20)
    assert facts["kappa"]["value"] == pytest.approx(0.8)
    assert [one["id"] for one in facts["differences"]] == ["l0", "l1"]
    assert world.payloads("judge_checked") == [facts]
    assert world.events()[0].event == "judge_checked"
    booked = world.rows(CALLS)
    assert len(booked) == 20 and {row["run_id"] for row in booked} == {"r1"}
    assert result["cost_usd"] > sum(row["cost_pico"] for row in booked) / 10**12 > 0


async def test_a_judge_that_does_not_agree_ends_the_run_before_a_case(world: World) -> None:
    async with LLMStandin(judge) as server:
        world.use_model(server.base_url)
        with pytest.raises(JudgeRefusedError, match=r"kappa with people's labels is 0\.20 .*0\.6"):
            await world.train(request(world, labelled(20, wrong=8)))
        assert len(server.requests) == asked_of_labels(server.requests) == 20
    run = world.run()
    assert run.status == "failed" and run.result is not None and run.error is not None
    assert run.result["judge"]["kappa"]["value"] == pytest.approx(0.2)
    assert run.result["cost_usd"] > 0
    assert "Nothing was trained." in run.error["message"]
    assert world.payloads("judge_checked")[0]["passed"] is False
    assert world.payloads("training_progress") == []


async def test_the_next_run_pays_only_for_labels_that_are_new(world: World) -> None:
    rows = labelled(20)
    async with LLMStandin(judge) as server:
        world.use_model(server.base_url)
        await world.train(request(world, rows[:12]))
        before = asked_of_labels(server.requests)
        result = await world.train(request(world, list(reversed(rows))), run_id="r2")
        assert (before, asked_of_labels(server.requests)) == (12, 20)
        assert result["judge"]["remembered"] == 12
        # People changed their minds, which asks no model anything.
        rows[0]["label"] = 1 - rows[0]["label"]
        changed = await world.train(request(world, rows), run_id="r3")
        assert asked_of_labels(server.requests) == 20
        assert changed["judge"]["differences"][0]["id"] == "l0"
        # Another rubric is another judge.
        other = RUBRIC | {"config": {"rubric": "It is very fine."}}
        await world.train(request(world, rows, evaluators=[RIGHT, other]), run_id="r4")
        assert asked_of_labels(server.requests) == 40


async def test_a_budget_that_ends_among_the_labels_stops_the_run_and_keeps_what_was_judged(
    world: World,
) -> None:
    prices = '{"gpt-4o-mini": {"input": 100, "output": 100}, "gpt-4o": [100, 100]}'
    async with LLMStandin(judge) as server:
        world.use_model(server.base_url, MODEL_PRICES=prices, DAILY_BUDGET_USD="1000")
        asked = request(world, labelled(20), optimizer={"max_cost_usd": 0.25})
        stopped = await world.train(asked)
        paid = asked_of_labels(server.requests)
        assert (stopped["status"], stopped["stopped_by"]) == ("stopped", "budget")
        assert 0 < paid < 20 and stopped["cost_usd"] <= 0.25
        asked["optimizer"]["max_cost_usd"] = 100
        result = await world.train(asked)
        assert result["status"] == "completed" and result["judge"]["remembered"] == paid
        assert asked_of_labels(server.requests) == 20
        await world.train(asked)
        assert asked_of_labels(server.requests) == 20, "a resumed run asks nobody again"
    assert len(world.payloads("judge_checked")) == 1


async def test_a_judge_that_often_gives_no_verdict_is_refused(world: World) -> None:
    def silent(request: dict[str, Any], n: int) -> Reply:
        found = re.search(r"in case (\d+)", str(request["messages"]))
        return Reply(text="no idea") if found and int(found[1]) < 5 else judge(request, n)

    async with LLMStandin(silent) as server:
        world.use_model(server.base_url)
        with pytest.raises(JudgeRefusedError, match="no verdict on 5 of 20 cases"):
            await world.train(request(world, labelled(20)))
    facts = world.payloads("judge_checked")[0]
    assert [one["id"] for one in facts["unscored_cases"]] == [f"l{n}" for n in range(5)]
    assert "asked twice" in facts["unscored_cases"][0]["error"]


async def test_a_users_own_judge_is_asked_through_the_same_ledger(world: World) -> None:
    module = world.module(
        """
        async def own(context, chat):
            said = await chat([{"role": "user", "content": f"strict grader? {context.output}"}])
            return '"score": 1' in said
        """
    )
    own = {"id": "own", "entrypoint": f"{module}:own"}
    async with LLMStandin(judge) as server:
        world.use_model(server.base_url)
        asked = request(world, labelled(10), evaluators=[RIGHT, own], judge={"evaluator": "own"})
        result = await world.train(asked)
        assert result["judge"]["kappa"]["value"] == 1
        assert len(world.rows(CALLS)) == 10
        # What its code depends on nobody knows, so another run asks anew.
        again = await world.train(asked, run_id="r2")
        assert again["judge"]["remembered"] == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"judge": {"evaluator": "nobody"}}, "judge.evaluator: 'nobody' is no evaluator's id"),
        ({"evaluators": [RUBRIC, RUBRIC | {"id": "two"}]}, "judge.evaluator: which one is meant"),
        ({"judge": {"min_kappa": 2}}, "judge.min_kappa: 2 is over the limit of 1"),
        ({"judge": {"kappa": 2}}, "judge.kappa: unknown field; did you mean min_kappa?"),
        ({"judge": {"scale": "5-1"}}, "judge.scale: '5-1' is not LOW-HIGH"),
        ({"judge": {"columns": {"lable": "x"}}}, "judge.columns.lable: unknown field; did you"),
    ],
)
async def test_bad_input_names_the_field(world: World, changes: dict[str, Any], said: str) -> None:
    from cornerman.domain.training.parse import parse_train_spec

    with pytest.raises(BadInputError) as refused:
        parse_train_spec(request(world, labelled(4), **changes), source="cli")
    assert said in refused.value.message


async def test_a_file_that_cannot_be_used_is_refused_before_the_run_is_stored(world: World) -> None:
    bad = request(world, [{"output": "x"}])
    with pytest.raises(
        BadInputError, match=r"judge.calibration: labels.jsonl, line 1 has no label"
    ):
        await world.train(bad)
    bad["judge"]["calibration"] = str(world.folder / "none.jsonl")
    with pytest.raises(NotFoundError, match=r"judge.calibration: there is no file"):
        await world.train(bad)
    assert world.rows("SELECT id FROM runs") == []


async def test_the_report_says_how_far_the_judge_agreed(world: World) -> None:
    from cornerman.report import render_report
    from cornerman.tasks.report import build_report

    async with LLMStandin(judge) as server:
        world.use_model(server.base_url)
        await world.train(request(world, labelled(20, wrong=2)))
    page = render_report(await build_report(world.db, "r1"))
    assert "The judge fine agreed with people on 90% of 20 labelled cases" in page
