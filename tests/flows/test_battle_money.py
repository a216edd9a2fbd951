"""Money: budgets are never passed, the kill-switch trips and holds, every cent is booked."""

from __future__ import annotations

import json
import time

import pytest

from cornerman.domain.errors import KillSwitchActiveError
from cornerman.settings import get_settings
from tests.support.battle_arena import Arena, tactic
from tests.support.llm_standin import Reply


@pytest.mark.parametrize("budget_usd", [0.000_001, 0.006, 0.009, 0.04])
async def test_never_spends_more_than_the_batch_budget(arena: Arena, budget_usd: float) -> None:
    arena.server.latency = 0.01
    result = await arena.batch(batch_size=10, batch_budget_usd=budget_usd)
    assert result["totalCost"] <= budget_usd
    assert result["totalCost"] * 10**12 == pytest.approx(arena.check_books())
    stopped = any(battle["status"] == "cancelled" for battle in result["battles"])
    assert (result["stoppedBy"] == "budget") == stopped == arena.kill_switch().active


async def test_never_spends_more_than_the_days_budget(arena: Arena) -> None:
    arena.set(DAILY_BUDGET_USD=0.006)
    result = await arena.batch(batch_size=10)
    assert (result["stoppedBy"], arena.run(result["batchId"]).status) == ("budget", "stopped")
    assert 0 < arena.check_books() <= 0.006 * 10**12
    assert "day:" in arena.kill_switch().reason


async def test_the_kill_switch_keeps_who_when_and_why_and_stays_on(arena: Arena) -> None:
    result = await arena.batch(run_id="b1", batch_size=3, batch_budget_usd=0.000_1)
    switch = arena.kill_switch()
    assert (result["stoppedBy"], switch.active, switch.by) == ("budget", True, "ledger")
    assert switch.reason.startswith("b1: Budget batch:b1 of $0.000100")
    assert switch.since is not None
    calls = arena.server.total
    with pytest.raises(KillSwitchActiveError):
        await arena.batch()
    assert arena.server.total == calls
    arena.turn_kill_switch(active=False)
    assert (await arena.batch(batch_size=1))["battlesCompleted"] == 1


async def test_the_event_of_a_spent_budget_has_the_ledgers_figures(arena: Arena) -> None:
    result = await arena.batch(run_id="b1", batch_size=10, batch_budget_usd=0.006)
    (event,) = arena.events("b1", "budget_stopped")
    held = {budget["name"]: budget for budget in event.payload["budgets"]}
    assert (event.payload["budget"], event.payload["limit_usd"]) == ("batch:b1", 0.006)
    assert event.payload["spent_usd"] + event.payload["refused_call_worst_case_usd"] > 0.006
    assert 0 < held["batch:b1"]["spent_usd"] <= result["totalCost"] + 1e-12
    assert {row["role"] for row in event.payload["calls"]} <= {"agent", "persona", "referee"}


async def test_failed_calls_are_charged_what_they_cost(arena: Arena) -> None:
    broken = {"once": True}

    def break_one(request: dict, n: int) -> Reply | None:
        if request["model"] == "agent-m" and broken["once"]:
            broken["once"] = False
            return Reply(text="I can", cut_after=20)
        return None

    arena.script.override = break_one
    result = await arena.batch(batch_size=1)
    assert result["battles"][0]["status"] == "scored"
    assert arena.calls(role="agent") == 2
    plain = await arena.batch(batch_size=1)
    assert result["totalCost"] > plain["totalCost"]
    assert result["battles"][0]["cost_usd"] == result["totalCost"]
    arena.check_books()


async def test_the_scouts_calls_are_in_the_batchs_cost(arena: Arena) -> None:
    arena.script.price = lambda request: 200
    result = await arena.batch(batch_size=1)
    assert arena.calls(role="scout") == 1
    assert result["totalCost"] > result["battles"][0]["cost_usd"]
    assert result["totalCost"] * 10**12 == pytest.approx(arena.check_books())


async def test_a_scout_that_meets_a_spent_budget_says_so(arena: Arena) -> None:
    arena.script.price = lambda request: 200
    arena.script.override = lambda request, n: (
        Reply(status=403) if "tactic" in str(request.get("response_format")) else None
    )
    await arena.batch(batch_size=1)
    arena.set(DAILY_BUDGET_USD=0.002)
    arena.script.tactic = tactic
    result = await arena.scout()
    assert (result["processed"], result["stopped_by"]) == (0, "budget")
    assert arena.kill_switch().active


async def test_the_kill_switch_stops_every_process_within_a_second(arena: Arena) -> None:
    arena.server.latency = 0.15
    other = await arena.process(run_id="b1", batch_size=10)
    await arena.until(lambda: arena.server.total >= 4, seconds=90)
    arena.turn_kill_switch(active=True, reason="enough")
    turned = time.monotonic()
    out, _ = await other.communicate()
    result = json.loads(out)
    late = [r for r in arena.server.requests if r.at > turned + 1]
    assert late == []
    assert result["stoppedBy"] == "kill_switch"
    assert "cancelled" in {battle["status"] for battle in result["battles"]}
    assert len(arena.battles("b1")) == 10
    arena.check_books()


# Every paid call of every process goes through here first.
RESERVE = """
import sys
from cornerman.domain.money.ledger import CallEstimate, CallScope
from cornerman.storage.database import Database
from cornerman.storage.ledger import reserve_call

with Database(sys.argv[1]).writing() as session:
    reserve_call(session, CallScope("other"), CallEstimate("agent", "agent-m", 1, 10))
"""


async def test_a_budget_spent_in_one_process_stops_the_other(arena: Arena) -> None:
    url = get_settings().database_url().url.get_secret_value()
    await arena.batch(run_id="b1", batch_size=5, batch_budget_usd=0.000_1)
    other = await arena.python(RESERVE, url)
    _, said = await other.communicate()
    assert b"KillSwitchActiveError" in said and b"b1: Budget batch:b1" in said


async def test_sums_are_exact_over_batches(arena: Arena) -> None:
    results = [await arena.batch(batch_size=3) for _ in range(2)]
    total = sum(round(result["totalCost"] * 10**12) for result in results)
    assert total == arena.check_books()
