"""Runs: their state, who works on them, and whether somebody wants them to end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from cornerman.domain.errors import ConflictError
from cornerman.domain.runs import (
    DEAD_AFTER_SECONDS,
    WAITS_AT_MOST_SECONDS,
    Run,
    RunKind,
    RunSignals,
    RunStatus,
)
from cornerman.storage.database.types import now
from cornerman.storage.run_reads import (
    LAST_SEQ,
    count_runs,
    read_dead_run_ids,
    read_run,
    read_run_by_key,
    read_run_signals,
    read_runs,
    require_run,
)
from cornerman.storage.tables import runs

__all__ = [
    "LAST_SEQ",
    "RunSignals",
    "claim_run",
    "count_runs",
    "create_run",
    "finish_run",
    "is_alive",
    "read_dead_run_ids",
    "read_run",
    "read_run_by_key",
    "read_run_signals",
    "read_runs",
    "request_cancel",
    "require_held",
    "update_heartbeat",
    "update_random_state",
    "update_request",
    "update_run_metrics",
]


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
    return require_run(session, run_id)


def is_alive(run: Run) -> bool:
    """Whether a process has bumped the run's heartbeat lately."""
    if run.heartbeat_at is None or run.owner is None:
        return False
    return now() - run.heartbeat_at < timedelta(seconds=DEAD_AFTER_SECONDS)


def goes_on(run: Run) -> bool:
    """Whether a process works on the run, or will: one that waits for its worker still may."""
    if run.status == "pending":
        return now() - run.created_at < timedelta(seconds=WAITS_AT_MOST_SECONDS)
    return run.status == "running" and is_alive(run)


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
        ConflictError: Another living process works on it, or it was pruned.
    """
    run = require_run(session, run_id)
    if "pruned_at" in run.metrics:
        raise ConflictError(
            f"Run {run_id!r} was pruned: what it had done is gone, so it cannot go on.",
            existing_id=run_id,
            hint="Start a new run.",
        )
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
    return require_run(session, run_id)


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
    run = require_run(session, run_id)
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
    return require_run(session, run_id)


def request_cancel(session: Session, run_id: str) -> Run:
    """Ask for a run to end; the process that works on it sees it within half a second.

    A run that nobody works on is ended here and now. An ended run stays as it is.

    Raises:
        NotFoundError: There is no such run.
    """
    run = require_run(session, run_id)
    if run.finished:
        return run
    values: dict[str, Any] = {"cancel_requested_at": run.cancel_requested_at or now()}
    # A pending run may be queued anywhere, so its mark stays and whoever claims it obeys.
    if run.status == "running" and not is_alive(run):
        # Without an owner: a process that was only asleep finds that the run is not its any more.
        values |= {"status": "cancelled", "stopped_by": "cancelled", "owner": None}
        values["finished_at"] = now()
    session.execute(update(runs).where(runs.c.id == run_id).values(values))
    return require_run(session, run_id)
