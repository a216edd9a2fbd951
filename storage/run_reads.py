"""Runs as they stand: one, many, or only what a process that works on one must know."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from cornerman.storage.clock import now
from cornerman.storage.rows import as_dict
from cornerman.storage.tables import events, runs
from sqlalchemy import Row, Select, bindparam, func, or_, select
from sqlalchemy.orm import Session

from cornerman.domain.errors import NotFoundError
from cornerman.domain.runs import DEAD_AFTER_SECONDS, Run, RunKind, RunSignals

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
