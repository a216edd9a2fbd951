"""What the ledger adds up to: a run's cost and calls, by role and over time."""

from __future__ import annotations

from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from cornerman.domain.money import pico_to_usd
from storage.tables import llm_calls


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
