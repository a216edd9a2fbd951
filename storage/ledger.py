"""The ledger: every paid call is a row, reserved before it is made and settled after.

For each budget `spent + reserved` never passes the limit: both are changed only here, in the one
writer transaction, together with the call's own row.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, case, func, insert, select, update
from sqlalchemy.orm import Session

from cornerman.domain.errors import BudgetExceededError, KillSwitchActiveError
from cornerman.domain.ledger import CallEstimate, CallOutcome, CallScope
from cornerman.domain.money import pico_to_usd
from cornerman.domain.runs import DEAD_AFTER_SECONDS, BudgetState
from storage.clock import now
from storage.kill_switch import read_kill_switch
from storage.tables import budgets, llm_calls, runs


def read_budget(session: Session, name: str) -> BudgetState | None:
    """One budget as it stands; None when nothing was ever booked on it."""
    row = session.execute(select(budgets).where(budgets.c.name == name)).one_or_none()
    if row is None:
        return None
    return BudgetState(row.name, row.limit_pico, row.spent_pico, row.reserved_pico)


def _touch_budget(session: Session, name: str, limit_pico: int) -> BudgetState:
    state = read_budget(session, name)
    if state is None:
        values = {"name": name, "limit_pico": limit_pico, "spent_pico": 0, "reserved_pico": 0}
        session.execute(insert(budgets).values(values | {"updated_at": now()}))
        return BudgetState(name, limit_pico, 0, 0)
    if state.limit_pico != limit_pico:
        session.execute(update(budgets).where(budgets.c.name == name).values(limit_pico=limit_pico))
    return BudgetState(name, limit_pico, state.spent_pico, state.reserved_pico)


def _move(session: Session, names: list[str], *, spent: int = 0, reserved: int = 0) -> None:
    if names and (spent or reserved):
        session.execute(
            update(budgets)
            .where(budgets.c.name.in_(names))
            .values(
                spent_pico=budgets.c.spent_pico + spent,
                reserved_pico=budgets.c.reserved_pico + reserved,
                updated_at=now(),
            )
        )


def reserve_call(session: Session, scope: CallScope, call: CallEstimate) -> str | None:
    """Reserve a call's worst case on every budget of its scope.

    Returns:
        The ledger row's id; None when it does not fit now but may once calls in flight settle.

    Raises:
        BudgetExceededError: It cannot fit, whatever calls in flight turn out to cost.
        KillSwitchActiveError: The kill-switch is on.
    """
    switch = read_kill_switch(session)
    if switch.active:
        raise KillSwitchActiveError(switch.reason)
    worst, must_wait = call.worst_cost_pico, False
    for name, limit_pico in scope.budgets.items():
        state = _touch_budget(session, name, limit_pico)
        if state.spent_pico + worst > limit_pico:
            raise BudgetExceededError(
                name,
                limit_usd=pico_to_usd(limit_pico),
                spent_usd=pico_to_usd(state.spent_pico),
                needed_usd=pico_to_usd(worst),
            )
        must_wait |= state.spent_pico + state.reserved_pico + worst > limit_pico
    if must_wait:
        _settle_orphans(session, list(scope.budgets))
        return None
    _move(session, list(scope.budgets), reserved=worst)
    return _create_call(session, scope, call, status="reserved")


def _create_call(
    session: Session, scope: CallScope, call: CallEstimate, *, status: str, **values: Any
) -> str:
    call_id = uuid.uuid4().hex
    row: dict[str, Any] = {
        "id": call_id,
        "run_id": scope.run_id,
        "subject": scope.subject,
        "role": call.role,
        "model": call.model,
        "attempt": call.attempt,
        "status": status,
        "budgets": list(scope.budgets),
        "reserved_pico": call.worst_cost_pico,
        "cost_pico": 0,
        "input_tokens": 0,
        "cached_tokens": 0,
        "output_tokens": 0,
        "latency_ms": 0.0,
        "simulated": scope.simulated,
        "created_at": now(),
    }
    session.execute(insert(llm_calls).values(row | values))
    return call_id


def create_cached_call(session: Session, scope: CallScope, call: CallEstimate) -> str:
    """Book a call that the response cache answered: a row at cost 0."""
    free = CallEstimate(call.role, call.model, call.attempt, 0)
    return _create_call(session, scope, free, status="settled", outcome="cached", settled_at=now())


def settle_call(session: Session, call_id: str, outcome: CallOutcome) -> None:
    """Book what a call cost and release the rest of its reservation.

    Idempotent. A call that was booked as `unknown` because its process seemed dead is corrected.
    """
    row = session.execute(select(llm_calls).where(llm_calls.c.id == call_id)).one_or_none()
    if row is None or (row.status == "settled" and row.outcome != "unknown"):
        return
    _settle_row(session, row, outcome)


def _settle_row(session: Session, row: Row[Any], outcome: CallOutcome) -> None:
    reserved = row.reserved_pico if row.status == "reserved" else 0
    already = row.cost_pico if row.status == "settled" else 0
    _move(session, list(row.budgets), spent=outcome.cost_pico - already, reserved=-reserved)
    session.execute(
        update(llm_calls)
        .where(llm_calls.c.id == row.id)
        .values(
            status="settled",
            outcome=outcome.outcome,
            cost_pico=outcome.cost_pico,
            input_tokens=outcome.input_tokens,
            cached_tokens=outcome.cached_tokens,
            output_tokens=outcome.output_tokens,
            latency_ms=outcome.latency_ms,
            error=outcome.error,
            settled_at=now(),
        )
    )


def _book_unknown(session: Session, rows: list[Row[Any]]) -> int:
    lost = "The process ended while the call was in flight; it is booked at its worst case."
    for row in rows:
        outcome = CallOutcome("unknown", cost_pico=row.reserved_pico, error=lost)
        _settle_row(session, row, outcome)
    return len(rows)


def _settle_orphans(session: Session, budget_names: list[str]) -> int:
    """Book calls of dead processes that hold money in these budgets."""
    oldest = now() - timedelta(seconds=DEAD_AFTER_SECONDS)
    query = (
        select(llm_calls)
        .join(runs, runs.c.id == llm_calls.c.run_id)
        .where(llm_calls.c.status == "reserved", llm_calls.c.created_at < oldest)
        .where(runs.c.heartbeat_at.is_(None) | (runs.c.heartbeat_at < oldest))
    )
    rows = [row for row in session.execute(query) if not set(row.budgets).isdisjoint(budget_names)]
    return _book_unknown(session, rows)


def settle_run_calls(session: Session, run_id: str) -> int:
    """Book every call that a run left in flight; for whoever resumes or ends it."""
    query = select(llm_calls).where(llm_calls.c.run_id == run_id, llm_calls.c.status == "reserved")
    return _book_unknown(session, list(session.execute(query)))


def read_run_cost_pico(session: Session, run_id: str, subject: str | None = None) -> int:
    """What a run, or one subject in it, has cost so far, in picodollars."""
    query = select(func.coalesce(func.sum(llm_calls.c.cost_pico), 0)).where(
        llm_calls.c.run_id == run_id
    )
    if subject is not None:
        query = query.where(llm_calls.c.subject == subject)
    return int(session.execute(query).scalar_one())


def count_run_calls(session: Session, run_id: str) -> int:
    """How many calls a run has made, failed attempts included."""
    query = select(func.count()).select_from(llm_calls).where(llm_calls.c.run_id == run_id)
    return session.execute(query).scalar_one()


def read_ledger_summary(session: Session, run_id: str) -> list[dict[str, Any]]:
    """A run's ledger by role and model: calls, tokens, cost in USD, failed calls."""
    fine = func.coalesce(llm_calls.c.outcome, "").in_(["ok", "cached"])
    failed = func.sum(case((fine, 0), else_=1))
    query = (
        select(
            llm_calls.c.role,
            llm_calls.c.model,
            func.count().label("calls"),
            func.sum(llm_calls.c.input_tokens).label("input_tokens"),
            func.sum(llm_calls.c.output_tokens).label("output_tokens"),
            func.sum(llm_calls.c.cost_pico).label("cost_pico"),
            failed.label("failed"),
        )
        .where(llm_calls.c.run_id == run_id)
        .group_by(llm_calls.c.role, llm_calls.c.model)
        .order_by(llm_calls.c.role, llm_calls.c.model)
    )
    return [
        {
            "role": row.role,
            "model": row.model,
            "calls": row.calls,
            "input_tokens": int(row.input_tokens),
            "output_tokens": int(row.output_tokens),
            "cost_usd": pico_to_usd(int(row.cost_pico)),
            "failed": int(row.failed),
        }
        for row in session.execute(query)
    ]


def read_cost_over_time(session: Session, run_id: str) -> list[tuple[float, float]]:
    """Cumulative cost: pairs of seconds since the run's first call and USD spent by then."""
    query = (
        select(llm_calls.c.settled_at, llm_calls.c.cost_pico)
        .where(llm_calls.c.run_id == run_id, llm_calls.c.status == "settled")
        .order_by(llm_calls.c.settled_at)
    )
    rows = list(session.execute(query))
    total, points = 0, list[tuple[float, float]]()
    for row in rows:
        total += row.cost_pico
        seconds = (row.settled_at - rows[0].settled_at).total_seconds()
        points.append((seconds, pico_to_usd(total)))
    return points
