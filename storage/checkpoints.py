"""Checkpoints: append-only, versions without gaps, one best per workflow."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, literal, select, update
from sqlalchemy.orm import Session

from cornerman.domain.errors import NotFoundError
from cornerman.domain.training.candidates import Checkpoint, NewCheckpoint, becomes_best
from cornerman.storage.database.types import Flag, as_dict, now
from cornerman.storage.tables import agentensor_checkpoints as table
from cornerman.storage.tables import best_moves


def _record(row: Row[Any]) -> Checkpoint:
    values = as_dict(row)
    return Checkpoint(
        id=values["id"],
        workflow_id=values["workflow_id"],
        config_version=values["config_version"],
        runnable_config=values["runnable_config"],
        metrics=values["metrics"],
        metadata=values["metadata"],
        artifact_url=values["artifact_url"],
        is_best=values["is_best"],
        created_at=values["created_at"],
    )


def read_checkpoint(session: Session, workflow_id: str, checkpoint_id: str) -> Checkpoint | None:
    """One checkpoint of this workflow; None when it is missing or another workflow's."""
    query = select(table).where(table.c.id == checkpoint_id, table.c.workflow_id == workflow_id)
    row = session.execute(query).one_or_none()
    return None if row is None else _record(row)


def find_checkpoint(session: Session, checkpoint_id: str) -> Checkpoint | None:
    """One checkpoint by its id, or by the only id that begins so; None when there is none."""
    # Not LIKE, which takes capitals for small letters on SQLite and `_` for anything.
    begins = func.substr(table.c.id, 1, len(checkpoint_id)) == checkpoint_id
    rows = list(session.execute(select(table).where(begins).order_by(table.c.id).limit(2)))
    if rows and rows[0].id == checkpoint_id:
        return _record(rows[0])
    return _record(rows[0]) if len(rows) == 1 else None


def read_best_checkpoint(session: Session, workflow_id: str) -> Checkpoint | None:
    """The workflow's best checkpoint; None when it has none."""
    is_best = table.c.is_best == literal(True, Flag())
    query = select(table).where(table.c.workflow_id == workflow_id, is_best)
    row = session.execute(query).one_or_none()
    return None if row is None else _record(row)


def read_checkpoints(
    session: Session,
    workflow_id: str,
    *,
    limit: int = 20,
    before: int | None = None,
    best: bool | None = None,
    run_id: str | None = None,
) -> list[Checkpoint]:
    """Checkpoints of a workflow, newest first.

    Args:
        before: Only those with `config_version` under this one.
        best: Only the best one, or only the others.
        run_id: Only those that this run stored.
    """
    query = select(table).where(table.c.workflow_id == workflow_id)
    if before is not None:
        query = query.where(table.c.config_version < before)
    if best is not None:
        query = query.where(table.c.is_best == literal(best, Flag()))
    query = query.order_by(table.c.config_version.desc())
    if run_id is None:
        return [_record(row) for row in session.execute(query.limit(limit))]
    # The run's id is inside the metadata document; a run has few checkpoints, all of them near
    # the top, so they are picked while reading rather than by a query per dialect.
    found = list[Checkpoint]()
    for row in session.execute(query):
        if as_dict(row)["metadata"].get("run_id") == run_id:
            found.append(_record(row))
        if len(found) == limit:
            break
    return found


def create_checkpoint(session: Session, new: NewCheckpoint) -> tuple[Checkpoint, bool]:
    """Store a checkpoint and let it take `is_best` if it earned it.

    Returns:
        The checkpoint as it stands, and whether it was stored now (False: it was there).
    """
    existing = read_checkpoint(session, new.workflow_id, new.id)
    if existing is not None:
        return existing, False
    highest = select(func.max(table.c.config_version)).where(table.c.workflow_id == new.workflow_id)
    version = (session.execute(highest).scalar_one_or_none() or 0) + 1
    incumbent = read_best_checkpoint(session, new.workflow_id)
    fingerprint = new.metadata.get("dataset_fingerprint")
    takes, why = False, "it waits for a decision"
    if new.may_be_best:
        takes, why = becomes_best(incumbent, new.metrics.get("validation_score"), fingerprint)
    created_at = _later_than_newest(session, new.workflow_id)
    session.execute(
        insert(table).values(
            id=new.id,
            workflow_id=new.workflow_id,
            config_version=version,
            runnable_config=new.runnable_config,
            metrics=new.metrics,
            metadata=new.metadata | {"best_decision": why},
            artifact_url=new.artifact_url,
            is_best=False,
            created_at=created_at,
        )
    )
    if takes:
        update_best(session, new.workflow_id, new.id, reason=why, by="training")
    stored = read_checkpoint(session, new.workflow_id, new.id)
    assert stored is not None
    return stored, True


def _later_than_newest(session: Session, workflow_id: str) -> datetime:
    """Now, or just the newest checkpoint's time when another machine's clock runs ahead."""
    newest = session.execute(
        select(table.c.created_at)
        .where(table.c.workflow_id == workflow_id)
        .order_by(table.c.config_version.desc())
        .limit(1)
    ).scalar_one_or_none()
    return max(now(), newest) if newest is not None else now()


def update_best(
    session: Session, workflow_id: str, checkpoint_id: str, *, reason: str, by: str
) -> None:
    """Point the workflow's best at a checkpoint and keep the reason. Idempotent.

    Raises:
        NotFoundError: The workflow has no such checkpoint; the best stays.
    """
    incumbent = read_best_checkpoint(session, workflow_id)
    if incumbent is not None and incumbent.id == checkpoint_id:
        return
    if read_checkpoint(session, workflow_id, checkpoint_id) is None:
        raise NotFoundError(
            f"Workflow {workflow_id!r} has no checkpoint {checkpoint_id!r}.",
            field="checkpoint_id",
            hint=f"Type: cornerman checkpoints list {workflow_id}",
        )
    # First the old one goes: at no moment may there be two, the database would refuse it.
    if incumbent is not None:
        session.execute(update(table).where(table.c.id == incumbent.id).values(is_best=False))
    session.execute(update(table).where(table.c.id == checkpoint_id).values(is_best=True))
    session.execute(
        insert(best_moves).values(
            workflow_id=workflow_id,
            checkpoint_id=checkpoint_id,
            previous_id=None if incumbent is None else incumbent.id,
            reason=reason,
            by=by,
            created_at=now(),
        )
    )


def read_best_moves(session: Session, workflow_id: str) -> list[dict[str, Any]]:
    """Every move of the workflow's best, oldest first, with reason and author."""
    query = (
        select(best_moves).where(best_moves.c.workflow_id == workflow_id).order_by(best_moves.c.id)
    )
    return [as_dict(row) for row in session.execute(query)]
