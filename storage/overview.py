"""What watchers of many runs ask for: how far each run is, and totals over everything."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cornerman.storage.runs import LAST_SEQ
from cornerman.storage.tables import (
    agentensor_checkpoints,
    battles,
    case_results,
    ledger_sums,
    llm_calls,
    runs,
)
from sqlalchemy import Row, func, or_, select
from sqlalchemy.orm import Session

from cornerman.domain.runs import FINISHED, RunKind, RunStatus


@dataclass(frozen=True)
class RunHead:
    """How far a run is, without its request and result, which may be large.

    Args:
        last_seq: Of the newest event in its log; 0 when it has none.
    """

    id: str
    kind: RunKind
    workflow_id: str
    status: RunStatus
    stopped_by: str | None
    simulated: bool
    last_seq: int

    @property
    def finished(self) -> bool:
        return self.status in FINISHED


_HEADS: Any = select(
    runs.c.id,
    runs.c.kind,
    runs.c.workflow_id,
    runs.c.status,
    runs.c.stopped_by,
    runs.c.simulated,
    LAST_SEQ,
)


def _heads(session: Session, query: Any) -> dict[str, RunHead]:
    rows: list[Row[Any]] = list(session.execute(query))
    return {row.id: RunHead(*row) for row in rows}


def read_run_heads(session: Session, run_ids: Collection[str]) -> dict[str, RunHead]:
    """Heads by run id; absent runs are left out."""
    return _heads(session, _HEADS.where(runs.c.id.in_(list(run_ids)))) if run_ids else {}


def read_live_heads(session: Session, *, finished_since: datetime) -> dict[str, RunHead]:
    """Heads of the runs that go on, or that ended at or after `finished_since`."""
    unfinished = runs.c.status.in_(["pending", "running"])
    query = _HEADS.where(or_(unfinished, runs.c.finished_at >= finished_since))
    return _heads(session, query)


@dataclass(frozen=True)
class Totals:
    """Counts over the whole database; costs in picodollars, real and simulated apart."""

    runs: dict[tuple[str, str], int]
    cases: dict[str, int]
    battles: dict[str, int]
    cost_pico: dict[bool, int]
    calls: dict[str, int]
    checkpoints: int


def read_totals(session: Session) -> Totals:
    """Count everything once; for figures that are asked for every few seconds at most."""
    by_run = select(runs.c.kind, runs.c.status, func.count()).group_by(runs.c.kind, runs.c.status)
    count = select(func.count()).select_from(agentensor_checkpoints)
    return Totals(
        runs={(row[0], row[1]): row[2] for row in session.execute(by_run)},
        cases=_by_status(session, case_results),
        battles=_by_status(session, battles),
        cost_pico=_costs(session),
        calls=_calls(session),
        checkpoints=session.execute(count).scalar_one(),
    )


def _costs(session: Session) -> dict[bool, int]:
    """By whether they were simulated, those of pruned calls included."""
    costs = dict[bool, int]()
    for table in (llm_calls, ledger_sums):
        query = select(table.c.simulated, func.sum(table.c.cost_pico)).group_by(table.c.simulated)
        for simulated, cost in session.execute(query):
            costs[bool(simulated)] = costs.get(bool(simulated), 0) + int(cost or 0)
    return costs


def _calls(session: Session) -> dict[str, int]:
    """By role, pruned ones included."""
    single = select(llm_calls.c.role, func.count()).group_by(llm_calls.c.role)
    pruned = select(ledger_sums.c.role, func.sum(ledger_sums.c.calls)).group_by(ledger_sums.c.role)
    calls = dict[str, int]()
    for role, number in (*session.execute(single), *session.execute(pruned)):
        calls[role] = calls.get(role, 0) + int(number)
    return calls


def _by_status(session: Session, table: Any) -> dict[str, int]:
    query = select(table.c.status, func.count()).group_by(table.c.status)
    return {row[0]: row[1] for row in session.execute(query)}
