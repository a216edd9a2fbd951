"""Ratings of agent versions and personas, one set per batch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from cornerman.domain.battles.ratings import Rating
from cornerman.storage.database.types import now
from cornerman.storage.tables import ratings as table


def create_ratings(
    session: Session, workflow_id: str, batch_id: str, ratings: Iterable[Rating]
) -> None:
    """Store the ratings after a batch, in place of what was stored after it before."""
    session.execute(
        delete(table).where(table.c.workflow_id == workflow_id, table.c.batch_id == batch_id)
    )
    moment = now()
    rows: list[dict[str, Any]] = [
        {
            "workflow_id": workflow_id,
            "batch_id": batch_id,
            "kind": rating.kind,
            "subject": rating.id,
            "rating": rating.rating,
            "low": rating.low,
            "high": rating.high,
            "battles": rating.battles,
            "created_at": moment,
        }
        for rating in ratings
    ]
    if rows:
        session.execute(insert(table), rows)


def read_ratings(
    session: Session, workflow_id: str, *, batch_id: str | None = None
) -> list[Rating]:
    """The workflow's ratings after a batch, by default the newest; the strongest first."""
    if batch_id is None:
        newest = (
            select(table.c.batch_id)
            .where(table.c.workflow_id == workflow_id)
            .order_by(table.c.created_at.desc())
            .limit(1)
        )
        batch_id = session.execute(newest).scalar_one_or_none()
    query = (
        select(table)
        .where(table.c.workflow_id == workflow_id, table.c.batch_id == batch_id)
        .order_by(table.c.rating.desc(), table.c.subject)
    )
    return [
        Rating(row.kind, row.subject, row.rating, row.low, row.high, row.battles)
        for row in session.execute(query)
    ]
