"""Who works on which run, without the runs' documents: for those who look every second.

Runs as they stand: one, many, or only what a process that works on one must know.

What watchers of many runs ask for: how far each run is, and totals over everything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Row, Select, bindparam, func, or_, select
from sqlalchemy.orm import Session

from cornerman.domain.errors import NotFoundError
from cornerman.domain.runs import DEAD_AFTER_SECONDS, FINISHED, Run, RunKind, RunSignals, RunStatus
from cornerman.storage.database.types import as_dict, now
from cornerman.storage.tables import (
    agentensor_checkpoints,
    battles,
    case_results,
    events,
    ledger_sums,
    llm_calls,
    runs,
)


@dataclass(frozen=True)
class Claim:
    """A run that a process works on, or worked on when it died."""

    id: str
    owner: str | None
    flow_run_id: str | None
    cancel_requested_at: datetime | None


def read_dead_claims(session: Session, is_gone: Callable[[str], bool]) -> list[Claim]:
    """Runs that claim to run while their process has been silent for too long, or is gone.

    Args:
        is_gone: Tells that an owner's process has ended, when that can be known from here.
    """
    oldest = now() - timedelta(seconds=DEAD_AFTER_SECONDS)
    columns = runs.c.id, runs.c.owner, runs.c.flow_run_id, runs.c.cancel_requested_at
    query = select(*columns, runs.c.heartbeat_at).where(runs.c.status == "running")
    return [
        Claim(row.id, row.owner, row.flow_run_id, row.cancel_requested_at)
        for row in session.execute(query)
        if row.heartbeat_at is None
        or row.heartbeat_at < oldest
        or (row.owner is not None and is_gone(row.owner))
    ]


# Nothing counts events but the log itself: a counter in this row, which also holds the dataset,
# would cost a rewrite of the row for each event.
LAST_SEQ = (
    select(func.coalesce(func.max(events.c.seq), 0))
    .where(events.c.run_id == runs.c.id)
    .scalar_subquery()
    .label("last_seq")
)
_RUNS = select(runs, LAST_SEQ)
_RUN = _RUNS.where(runs.c.id == bindparam("run_id"))
_SIGNALS = select(runs.c.status, runs.c.owner, runs.c.cancel_requested_at).where(
    runs.c.id == bindparam("run_id")
)


def _record(row: Row[Any]) -> Run:
    return Run(**as_dict(row))


def read_run(session: Session, run_id: str) -> Run | None:
    """The run; None when there is none of that id."""
    row = session.execute(_RUN, {"run_id": run_id}).one_or_none()
    return None if row is None else _record(row)


def require_run(session: Session, run_id: str) -> Run:
    """The run.

    Raises:
        NotFoundError: There is none of that id.
    """
    run = read_run(session, run_id)
    if run is None:
        raise NotFoundError(
            f"There is no run {run_id!r}.", field="run_id", hint="Type: cornerman runs list"
        )
    return run


def read_run_by_key(session: Session, kind: RunKind, idempotency_key: str) -> Run | None:
    """The run that was created with this key."""
    query = _RUNS.where(runs.c.kind == kind, runs.c.idempotency_key == idempotency_key)
    row = session.execute(query).one_or_none()
    return None if row is None else _record(row)


def _filtered(
    query: Select[Any], kind: RunKind | None, workflow_id: str | None, active: bool | None
) -> Select[Any]:
    if kind is not None:
        query = query.where(runs.c.kind == kind)
    if workflow_id is not None:
        query = query.where(runs.c.workflow_id == workflow_id)
    if active is not None:
        unfinished = runs.c.status.in_(["pending", "running"])
        query = query.where(unfinished if active else ~unfinished)
    return query


def read_runs(
    session: Session,
    *,
    kind: RunKind | None = None,
    workflow_id: str | None = None,
    active: bool | None = None,
    limit: int = 50,
) -> list[Run]:
    """Runs, newest first. `active` keeps those that have not ended, or those that have."""
    query = _filtered(_RUNS, kind, workflow_id, active)
    query = query.order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(limit)
    return [_record(row) for row in session.execute(query)]


def count_runs(
    session: Session,
    *,
    kind: RunKind | None = None,
    workflow_id: str | None = None,
    active: bool | None = None,
) -> int:
    """How many runs match, as in `read_runs`."""
    query = _filtered(select(func.count()).select_from(runs), kind, workflow_id, active)
    return session.execute(query).scalar_one()


def read_run_signals(session: Session, run_id: str) -> RunSignals | None:
    """What a process that works on the run must know twice a second, without its documents."""
    row = session.execute(_SIGNALS, {"run_id": run_id}).one_or_none()
    return None if row is None else RunSignals(row.status, row.owner, row.cancel_requested_at)


def read_dead_run_ids(session: Session) -> list[str]:
    """Runs that claim to run while their process has been silent for too long."""
    oldest = now() - timedelta(seconds=DEAD_AFTER_SECONDS)
    query = select(runs.c.id).where(
        runs.c.status == "running",
        or_(runs.c.heartbeat_at.is_(None), runs.c.heartbeat_at < oldest),
    )
    return cast("list[str]", list(session.execute(query).scalars()))


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
