"""The ledger: reserved before, settled after, and never over a budget."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from cornerman.domain.errors import BudgetExceededError, KillSwitchActiveError
from cornerman.domain.money.ledger import CallOutcome
from cornerman.domain.runs import DEAD_AFTER_SECONDS, BudgetState
from cornerman.storage import budgets, ledger, runs, slots
from cornerman.storage.database import Database, types
from tests.storage.samples import USD, estimate, make_run, scope


@pytest.fixture
def run(db: Database) -> Database:
    make_run(db)
    return db


def call(db: Database, function: Any, *args: Any, **kwargs: Any) -> Any:
    with db.writing() as session:
        return function(session, *args, **kwargs)


def reserve(db: Database, worst: int, limit: int = 100, **kwargs: Any) -> str | None:
    return call(db, ledger.reserve_call, scope({"day": limit}), estimate(worst), **kwargs)


def settle(db: Database, call_id: str | None, cost: int, outcome: Any = "ok") -> None:
    call(db, ledger.settle_call, call_id, CallOutcome(outcome, 10, 4, 5, cost, 12.5))


def figures(db: Database, name: str = "day") -> tuple[int, int]:
    state = call(db, ledger.read_budget, name)
    return state.spent_pico, state.reserved_pico


def test_a_reservation_holds_its_worst_case_until_it_is_settled(run: Database):
    call_id = reserve(run, 60)
    assert figures(run) == (0, 60)
    settle(run, call_id, 25)
    assert figures(run) == (25, 0)
    assert call(run, ledger.read_run_cost_pico, "r") == 25


def test_settling_twice_books_once(run: Database):
    call_id = reserve(run, 60)
    settle(run, call_id, 25)
    settle(run, call_id, 60)
    settle(run, "absent", 60)
    assert figures(run) == (25, 0)


def test_reserving_again_under_the_same_id_books_once(run: Database):
    assert reserve(run, 60, call_id="c") == "c"
    assert reserve(run, 60, call_id="c") == "c"
    assert figures(run) == (0, 60)
    assert call(run, ledger.count_run_calls, "r") == 1


def test_what_fits_once_calls_in_flight_settle_is_asked_to_wait(run: Database):
    call_id = reserve(run, 60)
    assert reserve(run, 60) is None
    assert figures(run) == (0, 60)
    settle(run, call_id, 40)
    assert reserve(run, 60) is not None


def test_what_can_never_fit_is_refused_with_its_figures(run: Database):
    settle(run, reserve(run, 60), 50)
    with pytest.raises(BudgetExceededError, match="Budget day") as caught:
        reserve(run, 51)
    error = caught.value
    found = (error.scope, error.limit_usd, error.spent_usd, error.needed_usd)
    assert found == ("day", 100 / USD, 50 / USD, 51 / USD)
    assert figures(run) == (50, 0)
    assert reserve(run, 50) is not None


def test_every_budget_of_the_scope_must_fit(run: Database):
    with pytest.raises(BudgetExceededError, match="Budget run"):
        call(run, ledger.reserve_call, scope({"day": 100, "run": 10}), estimate(20))
    assert call(run, ledger.reserve_call, scope({"day": 100, "run": 20}), estimate(20))
    assert (figures(run, "day"), figures(run, "run")) == ((0, 20), (0, 20))
    assert call(run, ledger.reserve_call, scope({"day": 100, "run": 20}), estimate(5)) is None
    assert (figures(run, "day"), figures(run, "run")) == ((0, 20), (0, 20))


def test_a_budget_follows_the_limit_that_is_asked_for(run: Database):
    settle(run, reserve(run, 60, limit=100), 60)
    with pytest.raises(BudgetExceededError):
        reserve(run, 10, limit=50)
    assert reserve(run, 10, limit=70) is not None
    assert call(run, ledger.read_budget, "day") == BudgetState("day", 70, 60, 10)


def test_a_call_without_budgets_is_booked_all_the_same(run: Database):
    call_id = call(run, ledger.reserve_call, scope(), estimate(7))
    settle(run, call_id, 7)
    assert call(run, ledger.read_run_cost_pico, "r") == 7


def test_the_kill_switch_refuses_every_reservation(run: Database):
    call(run, budgets.create_kill_switch_state, active=True, reason="smoke", by="ann")
    with pytest.raises(KillSwitchActiveError, match="smoke"):
        reserve(run, 1)
    assert call(run, ledger.read_budget, "day") is None
    call(run, budgets.create_kill_switch_state, active=False, reason="", by="ann")
    assert reserve(run, 1) is not None


def test_turning_the_switch_to_where_it_stands_keeps_who_turned_it_first(db: Database):
    assert not call(db, budgets.read_kill_switch).active
    turn = budgets.create_kill_switch_state
    first = call(db, turn, active=True, reason="smoke", by="ann")
    assert call(db, turn, active=True, reason="fire", by="bob") == first
    assert (first.reason, first.by, first.since is not None) == ("smoke", "ann", True)
    assert call(db, turn, active=False, reason="over", by="bob").by == "bob"


def pass_time(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    for module in (ledger, runs, slots):
        monkeypatch.setattr(module, "now", lambda: types.now() + timedelta(seconds=seconds))


def test_a_dead_processs_call_is_booked_at_its_worst_when_money_is_short(
    run: Database, monkeypatch: pytest.MonkeyPatch
):
    call(run, runs.claim_run, "r", "me")
    lost = reserve(run, 60)
    assert reserve(run, 50) is None
    pass_time(monkeypatch, DEAD_AFTER_SECONDS + 1)
    assert reserve(run, 50) is None
    assert figures(run) == (60, 0)
    with pytest.raises(BudgetExceededError):
        reserve(run, 50)
    settle(run, lost, 20)
    assert figures(run) == (20, 0)
    assert reserve(run, 50) is not None


def test_a_living_processs_long_call_keeps_its_reservation(
    run: Database, monkeypatch: pytest.MonkeyPatch
):
    call(run, runs.claim_run, "r", "me")
    reserve(run, 60)
    pass_time(monkeypatch, DEAD_AFTER_SECONDS + 1)
    call(run, runs.update_heartbeat, "r", "me")
    assert reserve(run, 50) is None
    assert figures(run) == (0, 60)


def test_what_a_run_left_in_flight_is_booked_when_it_is_taken_up(run: Database):
    make_run(run, "other")
    left = reserve(run, 10)
    call(run, ledger.reserve_call, scope({"day": 100}, run_id="other"), estimate(20))
    assert call(run, ledger.settle_run_calls, "r") == 1
    assert call(run, ledger.settle_run_calls, "r") == 0
    assert figures(run) == (10, 20)
    settle(run, left, 4)
    settle(run, left, 9)
    assert figures(run) == (4, 20)


def test_what_one_case_left_in_flight_is_booked_without_the_others(run: Database):
    reserve(run, 10)
    other = dataclasses.replace(scope({"day": 100}), subject="case:c0/other/0")
    call(run, ledger.reserve_call, other, estimate(20))
    assert call(run, ledger.count_calls_in_flight, "r", other.subject) == 1
    assert call(run, ledger.settle_run_calls, "r", subject=other.subject) == 1
    assert call(run, ledger.count_calls_in_flight, "r", other.subject) == 0
    assert figures(run) == (20, 10)


def test_a_cached_answer_is_a_row_at_no_cost(run: Database):
    call(run, ledger.create_cached_call, scope({"day": 0}), estimate(60))
    (line,) = call(run, ledger.read_ledger_summary, "r")
    assert (line["calls"], line["cost_usd"], line["failed"]) == (1, 0.0, 0)
    assert call(run, ledger.read_budget, "day") is None


def test_the_summary_adds_up_by_role_and_model(run: Database):
    for outcome, cost in [("ok", USD), ("timeout", 0), ("ok", USD // 2)]:
        settle(run, reserve(run, USD, 5 * USD), cost, outcome)
    assert call(run, ledger.read_ledger_summary, "r") == [
        {
            "role": "agent",
            "model": "model",
            "calls": 3,
            "input_tokens": 30,
            "output_tokens": 15,
            "cost_usd": 1.5,
            "failed": 1,
        }
    ]
    assert [usd for _, usd in call(run, ledger.read_cost_over_time, "r")] == [1.0, 1.0, 1.5]


def test_costs_are_told_by_subject(run: Database):
    for subject, cost in [("case:a", 3), ("case:b", 4)]:
        mine = scope({"day": 100}, subject=subject)
        settle(run, call(run, ledger.reserve_call, mine, estimate(5)), cost)
    assert call(run, ledger.read_run_cost_pico, "r", "case:a") == 3
    assert call(run, ledger.read_run_cost_pico, "r") == 7
    assert call(run, ledger.read_run_cost_pico, "absent") == 0


def test_costs_are_told_by_candidate_role_and_model(run: Database):
    subjects = [("case:c0/k1/0", 3), ("case:c0/k2/0", 4), ("case:c1/k1/0", 5), ("rewrite:e1", 6)]
    for subject, cost in subjects:
        mine = scope({"day": 100}, subject=subject)
        settle(run, call(run, ledger.reserve_call, mine, estimate(10)), cost)
    found = call(run, ledger.read_candidate_calls, "r")
    assert found == {"c0": {("agent", "model"): 7}, "c1": {("agent", "model"): 5}}


def test_millions_of_dollars_are_held(run: Database):
    limit = 9_000_000 * USD
    settle(run, reserve(run, limit, limit), limit)
    assert figures(run) == (limit, 0)


def test_a_lease_is_held_by_one_until_it_is_given_up_or_runs_out(
    db: Database, monkeypatch: pytest.MonkeyPatch
):
    assert call(db, slots.acquire_lease, "cron", "me", ttl_seconds=10) is None
    assert call(db, slots.acquire_lease, "cron", "me", ttl_seconds=10) is None
    assert call(db, slots.acquire_lease, "cron", "you", ttl_seconds=10) == "me"
    call(db, slots.delete_lease, "cron", "you")
    assert call(db, slots.read_lease_holder, "cron") == "me"
    pass_time(monkeypatch, 11)
    assert call(db, slots.read_lease_holder, "cron") is None
    assert call(db, slots.acquire_lease, "cron", "you", ttl_seconds=10) is None
    call(db, slots.delete_lease, "cron", "you")
    assert call(db, slots.acquire_lease, "cron", "me", ttl_seconds=10) is None
