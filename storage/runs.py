"""Runs: their state, who works on them, and whether somebody wants them to end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

from sqlalchemy import Row, Select, bindparam, func, insert, or_, select, update
from sqlalchemy.orm import Session

from cornerman.domain.errors import ConflictError, NotFoundError
from cornerman.domain.runs import DEAD_AFTER_SECONDS, Run, RunKind, RunSignals, RunStatus
from storage.clock import now
from storage.rows import as_dict
from storage.tables import events, runs

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


def create_run(
    session: Session,
    *,
    run_id: str,
    kind: RunKind,
    workflow_id: str,
    request: dict[str, Any],
    random_state: dict[str, Any],
    simulated: bool,
    idempotency_key: str | None = None,
) -> Run:
    """Create a pending run; the same id or idempotency key gives the run that is there.

    Raises:
        ConflictError: The id belongs to a run of another workflow or kind.
    """
    existing = read_run(session, run_id)
    if existing is None and idempotency_key is not None:
        existing = read_run_by_key(session, kind, idempotency_key)
    if existing is not None:
        if (existing.kind, existing.workflow_id) != (kind, workflow_id):
            raise ConflictError(
                f"Run {run_id!r} exists already: {existing.kind} of {existing.workflow_id!r}.",
                existing_id=existing.id,
                hint="Choose another run id.",
            )
        return existing
    session.execute(
        insert(runs).values(
            id=run_id,
            kind=kind,
            workflow_id=workflow_id,
            status="pending",
            request=request,
            random_state=random_state,
            metrics={},
            simulated=simulated,
            idempotency_key=idempotency_key,
            created_at=now(),
        )
    )
    return _must_read(session, run_id)


def read_run(session: Session, run_id: str) -> Run | None:
    """The run; None when there is none of that id."""
    row = session.execute(_RUN, {"run_id": run_id}).one_or_none()
    return None if row is None else _record(row)


def _must_read(session: Session, run_id: str) -> Run:
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


def is_alive(run: Run) -> bool:
    """Whether a process has bumped the run's heartbeat lately."""
    if run.heartbeat_at is None or run.owner is None:
        return False
    return now() - run.heartbeat_at < timedelta(seconds=DEAD_AFTER_SECONDS)


def claim_run(
    session: Session,
    run_id: str,
    owner: str,
    *,
    flow_run_id: str | None = None,
    is_gone: Callable[[str], bool] = lambda _: False,
) -> Run:
    """Take a run to work on it: a new one, an ended one to resume, or one whose process died.

    Args:
        is_gone: Tells that an owner's process has ended, when that can be known; without it a
            silent owner is waited for.

    Raises:
        NotFoundError: There is no such run.
        ConflictError: Another living process works on it.
    """
    run = _must_read(session, run_id)
    taken = run.status == "running" and run.owner not in (None, owner) and is_alive(run)
    if taken and not is_gone(str(run.owner)):
        raise ConflictError(
            f"Run {run_id!r} is being worked on by {run.owner}.",
            existing_id=run_id,
            hint=f"Watch it with: cornerman runs show {run_id}; or end it with: "
            f"cornerman runs cancel {run_id}",
        )
    values: dict[str, Any] = {
        "status": "running",
        "owner": owner,
        "heartbeat_at": now(),
        "stopped_by": None,
        "error": None,
        "finished_at": None,
    }
    # A cancel that was asked for before any process began still holds; one that ended a run
    # earlier does not hold against its resumption.
    if run.finished:
        values["cancel_requested_at"] = None
    if run.started_at is None:
        values["started_at"] = now()
    if flow_run_id is not None:
        values["flow_run_id"] = flow_run_id
    session.execute(update(runs).where(runs.c.id == run_id).values(values))
    return _must_read(session, run_id)


def require_held(session: Session, run_id: str, owner: str) -> None:
    """Refuse to write for a run that another process has taken over, or that has ended.

    Raises:
        ConflictError: `owner` does not work on it any more.
    """
    signals = read_run_signals(session, run_id)
    if signals is None or signals.owner != owner:
        holder = signals.owner if signals is not None else None
        raise ConflictError(
            f"Run {run_id!r} is not this process's any more; {holder or 'nobody'} works on it.",
            existing_id=run_id,
            hint=f"Look at it with: cornerman runs show {run_id}",
        )


def update_heartbeat(session: Session, run_id: str, owner: str) -> Run | None:
    """Say that `owner` lives, if it still works on the run; returns the run as it stands."""
    session.execute(
        update(runs).where(runs.c.id == run_id, runs.c.owner == owner).values(heartbeat_at=now())
    )
    return read_run(session, run_id)


def read_run_signals(session: Session, run_id: str) -> RunSignals | None:
    """What a process that works on the run must know twice a second, without its documents."""
    row = session.execute(_SIGNALS, {"run_id": run_id}).one_or_none()
    return None if row is None else RunSignals(row.status, row.owner, row.cancel_requested_at)


def update_run_metrics(session: Session, run_id: str, metrics: dict[str, Any]) -> None:
    """Merge live figures into the run's."""
    query = select(runs.c.metrics).where(runs.c.id == run_id)
    merged = (session.execute(query).scalar_one_or_none() or {}) | metrics
    session.execute(update(runs).where(runs.c.id == run_id).values(metrics=merged))


def update_request(session: Session, run_id: str, request: dict[str, Any]) -> None:
    """Replace a run's request, such as by one with a larger budget."""
    session.execute(update(runs).where(runs.c.id == run_id).values(request=request))


def update_random_state(session: Session, run_id: str, random_state: dict[str, Any]) -> None:
    """Store where the run's random streams stand."""
    session.execute(update(runs).where(runs.c.id == run_id).values(random_state=random_state))


def finish_run(
    session: Session,
    run_id: str,
    *,
    status: RunStatus,
    stopped_by: str | None = None,
    result: dict[str, Any] | None = None,
    error: dict[str, Any] | None = None,
    owner: str | None = None,
) -> Run:
    """End a run. Ending it again with the same status changes nothing.

    Args:
        owner: The process that ends it; None where nobody works on it.

    Raises:
        NotFoundError: There is no such run.
        ConflictError: Another process took the run over; what it does there is its own.
    """
    run = _must_read(session, run_id)
    if run.status == status and run.finished:
        return run
    if owner is not None and run.owner not in (None, owner):
        raise ConflictError(
            f"Run {run_id!r} is being worked on by {run.owner}, so {owner} cannot end it.",
            existing_id=run_id,
        )
    values = {
        "status": status,
        "stopped_by": stopped_by,
        "result": result,
        "error": error,
        "owner": None,
        "finished_at": now(),
    }
    session.execute(update(runs).where(runs.c.id == run_id).values(values))
    return _must_read(session, run_id)


def request_cancel(session: Session, run_id: str) -> Run:
    """Ask for a run to end; the process that works on it sees it within half a second.

    A run that nobody works on is ended here and now. An ended run stays as it is.

    Raises:
        NotFoundError: There is no such run.
    """
    run = _must_read(session, run_id)
    if run.finished:
        return run
    values: dict[str, Any] = {"cancel_requested_at": run.cancel_requested_at or now()}
    # A pending run may be queued anywhere, so its mark stays and whoever claims it obeys.
    if run.status == "running" and not is_alive(run):
        # Without an owner: a process that was only asleep finds that the run is not its any more.
        values |= {"status": "cancelled", "stopped_by": "cancelled", "owner": None}
        values["finished_at"] = now()
    session.execute(update(runs).where(runs.c.id == run_id).values(values))
    return _must_read(session, run_id)


def read_dead_run_ids(session: Session) -> list[str]:
    """Runs that claim to run while their process has been silent for too long."""
    oldest = now() - timedelta(seconds=DEAD_AFTER_SECONDS)
    query = select(runs.c.id).where(
        runs.c.status == "running",
        or_(runs.c.heartbeat_at.is_(None), runs.c.heartbeat_at < oldest),
    )
    return cast("list[str]", list(session.execute(query).scalars()))
