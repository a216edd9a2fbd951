"""What the ledger adds up to: a run's cost and calls, by role and over time."""

from __future__ import annotations

from typing import Any

from cornerman.storage.rows import as_dict
from cornerman.storage.tables import ledger_sums, llm_calls
from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from cornerman.domain.money import pico_to_usd

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
