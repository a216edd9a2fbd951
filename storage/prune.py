"""Taking away what old runs wrote and nobody reads again; what they came to stays.

A run that is pruned keeps its row with its result's figures, its candidates, its battles with
their verdicts, and its checkpoints; its calls become sums. Gone are events, case results, turns,
single calls and their traces, which are nearly all of the bytes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Delete, Table, delete, func, insert, select, update
from sqlalchemy.orm import Session

from cornerman.domain.runs import FINISHED
from cornerman.storage.database.types import as_dict, now
from cornerman.storage.ledger import sums_by_role
from cornerman.storage.tables import (
    battles,
    call_traces,
    case_results,
    events,
    ledger_sums,
    llm_calls,
    response_cache,
    run_steps,
    runs,
    turns,
)


@dataclass(frozen=True)
class Pruned:
    """Rows that were taken away, or would be."""

    events: int = 0
    case_results: int = 0
    run_steps: int = 0
    turns: int = 0
    llm_calls: int = 0
    call_traces: int = 0

    def __add__(self, other: Pruned) -> Pruned:
        return Pruned(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def as_dict(self) -> dict[str, int]:
        """Rows by table."""
        return asdict(self)


def read_prunable_ids(session: Session, before: datetime) -> list[str]:
    """Runs that ended before a moment and were not pruned yet, oldest first."""
    query = (
        select(runs.c.id, runs.c.metrics)
        .where(runs.c.status.in_(sorted(FINISHED)), runs.c.finished_at < before)
        .order_by(runs.c.finished_at)
    )
    return [row.id for row in session.execute(query) if "pruned_at" not in (row.metrics or {})]


def count_prunable(session: Session, run_id: str) -> Pruned:
    """How many rows pruning a run would take away."""

    def count(table: Table) -> int:
        query = select(func.count()).select_from(table).where(_belongs(table, run_id))
        return session.execute(query).scalar_one()

    return Pruned(*(count(table) for table in _tables()))


def prune_run(session: Session, run_id: str) -> Pruned:
    """Prune one run that has ended; a run at a time, so that nobody waits long for the writer."""
    _roll_up(session, run_id)
    gone = Pruned(*(_delete(session, table, run_id) for table in _tables()))
    row = session.execute(select(runs.c.metrics, runs.c.result).where(runs.c.id == run_id)).one()
    result: dict[str, Any] | None = row.result
    if result is not None and "results" in result:
        result = result | {"results": []}
    metrics = (row.metrics or {}) | {"pruned_at": now().isoformat()}
    changed = update(runs).where(runs.c.id == run_id).values(metrics=metrics, result=result)
    session.execute(changed)
    return gone


def prune_cache(session: Session, before: datetime) -> int:
    """Forget cached answers from before a moment."""
    return _rowcount(session, delete(response_cache).where(response_cache.c.created_at < before))


def count_cache(session: Session, before: datetime) -> int:
    """How many cached answers are from before a moment."""
    query = select(func.count()).select_from(response_cache)
    return session.execute(query.where(response_cache.c.created_at < before)).scalar_one()


def _tables() -> tuple[Table, ...]:
    return events, case_results, run_steps, turns, llm_calls, call_traces


def _belongs(table: Table, run_id: str) -> Any:
    if table is turns:
        mine = select(battles.c.id).where(battles.c.batch_id == run_id)
        return turns.c.battle_id.in_(mine)
    return table.c.run_id == run_id


def _delete(session: Session, table: Table, run_id: str) -> int:
    return _rowcount(session, delete(table).where(_belongs(table, run_id)))


def _rowcount(session: Session, statement: Delete) -> int:
    done: Any = session.connection().execute(statement)
    return int(done.rowcount)


def _roll_up(session: Session, run_id: str) -> None:
    there = {
        (row.role, row.model): as_dict(row)
        for row in session.execute(select(ledger_sums).where(ledger_sums.c.run_id == run_id))
    }
    names = ("calls", "failed", "input_tokens", "output_tokens", "cost_pico")
    for row in session.execute(sums_by_role(run_id)):
        before = there.get((row.role, row.model))
        values = {name: int(as_dict(row)[name]) for name in names}
        if before is None:
            key = {"run_id": run_id, "role": row.role, "model": row.model}
            session.execute(insert(ledger_sums).values(**key, simulated=row.simulated, **values))
            continue
        total = {name: values[name] + int(before[name]) for name in names}
        session.execute(
            update(ledger_sums)
            .where(ledger_sums.c.run_id == run_id)
            .where(ledger_sums.c.role == row.role, ledger_sums.c.model == row.model)
            .values(total)
        )
