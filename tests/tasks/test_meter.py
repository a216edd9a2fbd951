"""The meter waits for money that may come back, and for nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cornerman.domain.errors import BudgetExceededError, KillSwitchActiveError
from cornerman.domain.money.ledger import CallOutcome
from cornerman.storage import budgets, ledger
from cornerman.storage.database import Database
from cornerman.tasks.meter import DatabaseMeter, Tally, telling_waits
from tests.storage.samples import estimate, make_run, scope

DAY = {"day": 100}


@pytest.fixture
def meter(db: Database) -> DatabaseMeter:
    make_run(db)
    return DatabaseMeter(db)


def cost(pico: int) -> CallOutcome:
    return CallOutcome("ok", cost_pico=pico)


async def test_waits_for_money_in_flight_and_gets_it(meter: DatabaseMeter):
    first = await meter.reserve(scope(DAY), estimate(80))
    waiting = asyncio.create_task(meter.reserve(scope(DAY), estimate(50)))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await meter.settle(first, cost(10))
    await meter.settle(await asyncio.wait_for(waiting, 2), cost(50))


async def test_is_refused_once_the_money_in_flight_was_spent(meter: DatabaseMeter):
    first = await meter.reserve(scope(DAY), estimate(80))
    waiting = asyncio.create_task(meter.reserve(scope(DAY), estimate(50)))
    await asyncio.sleep(0.05)
    await meter.settle(first, cost(80))
    with pytest.raises(BudgetExceededError):
        await asyncio.wait_for(waiting, 2)


async def test_many_callers_spend_a_budget_to_its_end_and_never_over(
    meter: DatabaseMeter, db: Database
):
    async def call() -> int:
        try:
            call_id = await meter.reserve(scope(DAY), estimate(10))
        except BudgetExceededError:
            return 0
        await meter.settle(call_id, cost(7))
        return 7

    spent = sum(await asyncio.gather(*(call() for _ in range(30))))
    assert 90 < spent <= 100
    state = await db.read(ledger.read_budget, "day")
    assert state is not None and (state.spent_pico, state.reserved_pico) == (spent, 0)


async def test_the_kill_switch_ends_waiting(meter: DatabaseMeter, db: Database):
    await meter.reserve(scope(DAY), estimate(80))
    waiting = asyncio.create_task(meter.reserve(scope(DAY), estimate(50)))
    await asyncio.sleep(0.05)
    turn = budgets.create_kill_switch_state
    await db.write(turn, active=True, reason="smoke", by="ann")
    with pytest.raises(KillSwitchActiveError, match="smoke"):
        await asyncio.wait_for(waiting, 2)


async def test_waiting_is_told_before_it_happens(meter: DatabaseMeter):
    told = list[float]()
    with telling_waits(told.append):
        first = await meter.reserve(scope(DAY), estimate(80))
        waiting = asyncio.create_task(meter.reserve(scope(DAY), estimate(50)))
    await asyncio.sleep(0.02)
    assert len(told) == 1
    await meter.settle(first, cost(0))
    await waiting


async def test_a_subjects_calls_are_tallied_until_they_are_asked_for(meter: DatabaseMeter):
    mine = scope(DAY, subject="case:1")
    for _ in range(2):
        await meter.settle(await meter.reserve(mine, estimate(10)), cost(7))
    assert meter.take_tally("r", "case:1") == Tally(14, 2)
    assert meter.take_tally("r", "case:1") == Tally()


async def test_settling_twice_is_tallied_and_booked_once(meter: DatabaseMeter, db: Database):
    call_id = await meter.reserve(scope(DAY), estimate(10))
    for _ in range(2):
        await meter.settle(call_id, cost(7))
    assert meter.take_tally("r", "") == Tally(7, 1)
    assert await db.read(ledger.read_run_cost_pico, "r") == 7


async def test_what_was_paid_for_is_stored_in_the_transaction_that_settles(
    meter: DatabaseMeter, db: Database
):
    call_id = await meter.reserve(scope(DAY), estimate(10))
    seen = list[int]()

    def also(session: Any) -> None:
        seen.append(ledger.read_run_cost_pico(session, "r"))
        budgets.create_kill_switch_state(session, active=True, reason="paid", by="me")

    await meter.settle(call_id, cost(7), also)
    assert seen == [7]
    assert (await db.read(budgets.read_kill_switch)).reason == "paid"


async def test_a_call_is_booked_although_what_it_brought_cannot_be_stored(
    meter: DatabaseMeter, db: Database
):
    call_id = await meter.reserve(scope(DAY), estimate(10))

    def also(_session: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await meter.settle(call_id, cost(7), also)
    assert await db.read(ledger.read_run_cost_pico, "r") == 7


async def test_a_stored_answer_is_served_and_booked_at_nothing(meter: DatabaseMeter, db: Database):
    assert await meter.cached(scope(), estimate(10), "k") is None
    await meter.store_cached("k", "answer")
    assert await meter.cached(scope(), estimate(10), "k") == "answer"
    assert meter.take_tally("r", "") == Tally(0, 1)
    lines: list[dict[str, Any]] = await db.read(ledger.read_ledger_summary, "r")
    assert [(line["calls"], line["cost_usd"]) for line in lines] == [(1, 0.0)]
