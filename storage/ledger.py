"""What the ledger adds up to: a run's cost and calls, by role and over time.

The ledger: every paid call is a row, reserved before it is made and settled after.

For each budget `spent + reserved` never passes the limit: both are changed only here, in the one
writer transaction, together with the call's own row.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Float,
    Integer,
    Row,
    Text,
    bindparam,
    case,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Session

from cornerman.domain.errors import BudgetExceededError, KillSwitchActiveError
from cornerman.domain.money import pico_to_usd
from cornerman.domain.money.ledger import CallEstimate, CallOutcome, CallScope
from cornerman.domain.runs import DEAD_AFTER_SECONDS, BudgetState, candidate_of, cases_prefix
from cornerman.storage.budgets import (
    move_budgets,
    read_budget,
    read_budgets,
    read_kill_switch,
    set_limit,
)
from cornerman.storage.database.types import SafeText, Timestamp, as_dict, now
from cornerman.storage.tables import ledger_sums, llm_calls, runs

_SUMS = ("calls", "failed", "input_tokens", "output_tokens", "cost_pico")


def read_run_cost_pico(session: Session, run_id: str, subject: str | None = None) -> int:
    """What a run, or one subject in it, has cost so far, in picodollars.

    Calls that were pruned count with their run, not with a subject.
    """
    query = select(func.coalesce(func.sum(llm_calls.c.cost_pico), 0)).where(
        llm_calls.c.run_id == run_id
    )
    if subject is not None:
        query = query.where(llm_calls.c.subject == subject)
        return int(session.execute(query).scalar_one())
    return int(session.execute(query).scalar_one()) + _pruned(session, run_id, "cost_pico")


def read_run_costs_pico(session: Session, run_ids: Sequence[str]) -> dict[str, int]:
    """What each of several runs has cost so far, pruned calls included; unpaid runs are absent."""
    costs = dict[str, int]()
    for table in (llm_calls, ledger_sums):
        query = (
            select(table.c.run_id, func.sum(table.c.cost_pico))
            .where(table.c.run_id.in_(run_ids))
            .group_by(table.c.run_id)
        )
        for run_id, cost in session.execute(query):
            costs[run_id] = costs.get(run_id, 0) + int(cost)
    return costs


def read_mean_calls(
    session: Session, run_id: str, candidate_ids: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """Mean input tokens and cost in picodollars of an agent's paid call, by candidate."""
    found = dict[str, tuple[float, float]]()
    for name in candidate_ids:
        its = llm_calls.c.subject.startswith(cases_prefix(name), autoescape=True)
        query = select(func.avg(llm_calls.c.input_tokens), func.avg(llm_calls.c.cost_pico)).where(
            llm_calls.c.run_id == run_id,
            llm_calls.c.role == "agent",
            llm_calls.c.outcome == "ok",
            its,
        )
        tokens, cost = session.execute(query).one()
        if tokens is not None:
            found[name] = (float(tokens), float(cost))
    return found


def count_calls_in_flight(session: Session, run_id: str, subject: str) -> int:
    """How many calls made on behalf of a subject are reserved and not settled yet."""
    query = select(func.count()).where(
        llm_calls.c.run_id == run_id,
        llm_calls.c.subject == subject,
        llm_calls.c.status == "reserved",
    )
    return int(session.execute(query).scalar_one())


def count_run_calls(session: Session, run_id: str) -> int:
    """How many calls a run has made, failed attempts and pruned ones included."""
    query = select(func.count()).select_from(llm_calls).where(llm_calls.c.run_id == run_id)
    return session.execute(query).scalar_one() + _pruned(session, run_id, "calls")


def _pruned(session: Session, run_id: str, column: str) -> int:
    total = func.coalesce(func.sum(ledger_sums.c[column]), 0)
    return int(session.execute(select(total).where(ledger_sums.c.run_id == run_id)).scalar_one())


def sums_by_role(run_id: str) -> Any:
    """The query of a run's calls by role and model."""
    fine = func.coalesce(llm_calls.c.outcome, "").in_(["ok", "cached"])
    return (
        select(
            llm_calls.c.role,
            llm_calls.c.model,
            llm_calls.c.simulated,
            func.count().label("calls"),
            func.sum(case((fine, 0), else_=1)).label("failed"),
            func.sum(llm_calls.c.input_tokens).label("input_tokens"),
            func.sum(llm_calls.c.output_tokens).label("output_tokens"),
            func.sum(llm_calls.c.cost_pico).label("cost_pico"),
        )
        .where(llm_calls.c.run_id == run_id)
        .group_by(llm_calls.c.role, llm_calls.c.model, llm_calls.c.simulated)
    )


def read_ledger_summary(session: Session, run_id: str) -> list[dict[str, Any]]:
    """A run's ledger by role and model: calls, tokens, cost in USD, failed calls."""
    pruned = select(ledger_sums).where(ledger_sums.c.run_id == run_id)
    found = dict[tuple[str, str], dict[str, Any]]()
    for row in (*session.execute(sums_by_role(run_id)), *session.execute(pruned)):
        line = found.setdefault(
            (row.role, row.model), {"role": row.role, "model": row.model, **dict.fromkeys(_SUMS, 0)}
        )
        for name in _SUMS:
            line[name] += int(as_dict(row)[name])
    return [_shown(found[key]) for key in sorted(found)]


def _shown(line: dict[str, Any]) -> dict[str, Any]:
    names = ("role", "model", "calls", "input_tokens", "output_tokens")
    cost = {"cost_usd": pico_to_usd(line["cost_pico"]), "failed": line["failed"]}
    return {name: line[name] for name in names} | cost


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


__all__ = [
    "count_calls_in_flight",
    "count_run_calls",
    "create_cached_call",
    "read_budget",
    "read_cost_over_time",
    "read_ledger_summary",
    "read_run_cost_pico",
    "reserve_call",
    "settle_call",
    "settle_run_calls",
]

# Written once: building a statement costs more than running it.
_INSERT_CALL = insert(llm_calls)
_CALL = select(llm_calls).where(llm_calls.c.id == bindparam("call_id"))
_SETTLE = (
    update(llm_calls)
    .where(llm_calls.c.id == bindparam("call_id"), llm_calls.c.status == bindparam("was"))
    # A call that was booked as `unknown` is corrected; every other booking stands.
    .where((llm_calls.c.status == "reserved") | (llm_calls.c.outcome == "unknown"))
    .values(
        status="settled",
        outcome=bindparam("new_outcome", type_=Text),
        cost_pico=bindparam("new_cost_pico", type_=BigInteger),
        input_tokens=bindparam("new_input_tokens", type_=Integer),
        cached_tokens=bindparam("new_cached_tokens", type_=Integer),
        output_tokens=bindparam("new_output_tokens", type_=Integer),
        latency_ms=bindparam("new_latency_ms", type_=Float),
        error=bindparam("new_error", type_=SafeText),
        settled_at=bindparam("at", type_=Timestamp),
    )
    .returning(llm_calls.c.budgets, llm_calls.c.reserved_pico)
)


def reserve_call(
    session: Session, scope: CallScope, call: CallEstimate, *, call_id: str | None = None
) -> str | None:
    """Reserve a call's worst case on every budget of its scope.

    Args:
        call_id: The row's id, so that reserving again after a lost connection is known as such;
            None for a new one.

    Returns:
        The ledger row's id; None when it does not fit now but may once calls in flight settle.

    Raises:
        BudgetExceededError: It cannot fit, whatever calls in flight turn out to cost.
        KillSwitchActiveError: The kill-switch is on.
    """
    switch = read_kill_switch(session)
    if switch.active:
        raise KillSwitchActiveError(switch.reason)
    if call_id is not None and session.execute(_CALL, {"call_id": call_id}).first() is not None:
        return call_id
    names, worst = list(scope.budgets), call.worst_cost_pico
    # Nearly always it fits, so it is booked first; the transaction shows nobody what is undone.
    booked = move_budgets(session, names, reserved=worst)
    if not all(_holds(booked.get(name), limit) for name, limit in scope.budgets.items()):
        move_budgets(session, list(booked), reserved=-worst)
        if not _fits(session, scope.budgets, worst):
            return None
        move_budgets(session, names, reserved=worst)
    return _create_call(session, scope, call, call_id=call_id, status="reserved")


def _holds(state: BudgetState | None, limit_pico: int) -> bool:
    if state is None or state.limit_pico != limit_pico:
        return False
    return state.spent_pico + state.reserved_pico <= limit_pico


def _fits(session: Session, limits: dict[str, int], worst: int) -> bool:
    """Whether a call fits now, after creating budgets and setting limits as they are given.

    Raises:
        BudgetExceededError: It never will.
    """
    for name, limit_pico in limits.items():
        state = set_limit(session, name, limit_pico)
        if state.spent_pico + worst > limit_pico:
            raise BudgetExceededError(
                name,
                limit_usd=pico_to_usd(limit_pico),
                spent_usd=pico_to_usd(state.spent_pico),
                needed_usd=pico_to_usd(worst),
            )
    states = read_budgets(session, limits).values()
    if all(s.spent_pico + s.reserved_pico + worst <= s.limit_pico for s in states):
        return True
    _settle_orphans(session, list(limits))
    return False


def _create_call(
    session: Session,
    scope: CallScope,
    call: CallEstimate,
    *,
    status: str,
    call_id: str | None = None,
    outcome: str | None = None,
    settled_at: datetime | None = None,
) -> str:
    call_id = call_id or uuid.uuid4().hex
    row: dict[str, Any] = {
        "id": call_id,
        "run_id": scope.run_id,
        "subject": scope.subject,
        "role": call.role,
        "model": call.model,
        "attempt": call.attempt,
        "status": status,
        "outcome": outcome,
        "budgets": list(scope.budgets),
        "reserved_pico": call.worst_cost_pico,
        "cost_pico": 0,
        "input_tokens": 0,
        "cached_tokens": 0,
        "output_tokens": 0,
        "latency_ms": 0.0,
        "simulated": scope.simulated,
        "created_at": now(),
        "settled_at": settled_at,
    }
    session.execute(_INSERT_CALL, row)
    return call_id


def read_candidate_calls(session: Session, run_id: str) -> dict[str, dict[tuple[str, str], int]]:
    """What the cases of each candidate cost in picodollars, by role and model."""
    which = llm_calls.c.subject, llm_calls.c.role, llm_calls.c.model
    query = select(*which, func.sum(llm_calls.c.cost_pico).label("cost_pico"))
    query = query.where(llm_calls.c.run_id == run_id).group_by(*which)
    found = dict[str, dict[tuple[str, str], int]]()
    for row in session.execute(query):
        candidate = candidate_of(row.subject)
        if candidate is not None:
            calls = found.setdefault(candidate, {})
            key = row.role, row.model
            calls[key] = calls.get(key, 0) + int(row.cost_pico or 0)
    return found


def create_cached_call(session: Session, scope: CallScope, call: CallEstimate) -> str:
    """Book a call that the response cache answered: a row at cost 0."""
    free = CallEstimate(call.role, call.model, call.attempt, 0)
    return _create_call(session, scope, free, status="settled", outcome="cached", settled_at=now())


def settle_call(session: Session, call_id: str, outcome: CallOutcome) -> None:
    """Book what a call cost and release the rest of its reservation.

    Idempotent. A call that was booked as `unknown` because its process seemed dead is corrected.
    """
    row = _settle(session, call_id, outcome, was="reserved")
    if row is not None:
        move_budgets(session, row.budgets, spent=outcome.cost_pico, reserved=-row.reserved_pico)
        return
    booked = session.execute(_CALL, {"call_id": call_id}).one_or_none()
    if booked is not None and _settle(session, call_id, outcome, was="settled") is not None:
        move_budgets(session, booked.budgets, spent=outcome.cost_pico - booked.cost_pico)


def _settle(session: Session, call_id: str, outcome: CallOutcome, *, was: str) -> Any:
    values = {
        "call_id": call_id,
        "was": was,
        "new_outcome": outcome.outcome,
        "new_cost_pico": outcome.cost_pico,
        "new_input_tokens": outcome.input_tokens,
        "new_cached_tokens": outcome.cached_tokens,
        "new_output_tokens": outcome.output_tokens,
        "new_latency_ms": outcome.latency_ms,
        "new_error": outcome.error,
        "at": now(),
    }
    return session.execute(_SETTLE, values).one_or_none()


def _book_unknown(session: Session, rows: list[Row[Any]]) -> int:
    lost = "The process ended while the call was in flight; it is booked at its worst case."
    for row in rows:
        outcome = CallOutcome("unknown", cost_pico=row.reserved_pico, error=lost)
        settle_call(session, row.id, outcome)
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


def settle_run_calls(session: Session, run_id: str, *, subject: str | None = None) -> int:
    """Book every call that a run left in flight; for whoever resumes or ends it.

    Args:
        subject: Only those made on its behalf, such as one case's.
    """
    query = select(llm_calls).where(llm_calls.c.run_id == run_id, llm_calls.c.status == "reserved")
    if subject is not None:
        query = query.where(llm_calls.c.subject == subject)
    return _book_unknown(session, list(session.execute(query)))
