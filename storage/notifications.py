"""Notifications: one message per fact, by its key, with what became of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import insert, or_, select, update
from sqlalchemy.orm import Session

from cornerman.storage.database.types import as_dict, now
from cornerman.storage.tables import notifications as table

# Longer than a message with all its retries takes.
_TELLING_SECONDS = 60
# Each telling has retries of its own; after so many the address is wrong, not busy.
_MOST_TELLINGS = 3


def create_notification(session: Session, key: str, kind: str, payload: dict[str, Any]) -> bool:
    """Claim a fact to tell; False when it was told, or somebody is telling it right now.

    A message that failed, or whose teller died, may be claimed again.
    """
    row = session.execute(select(table).where(table.c.key == key)).one_or_none()
    if row is not None:
        stale = now() - row.created_at > timedelta(seconds=_TELLING_SECONDS)
        if row.status == "sent" or (row.status == "pending" and not stale):
            return False
        session.execute(
            update(table).where(table.c.key == key).values(status="pending", created_at=now())
        )
        return True
    session.execute(
        insert(table).values(
            key=key, kind=kind, payload=payload, status="pending", attempts=0, created_at=now()
        )
    )
    return True


def update_notification(session: Session, key: str, *, sent: bool, error: str | None) -> None:
    """Keep what became of a message."""
    session.execute(
        update(table)
        .where(table.c.key == key)
        .values(
            status="sent" if sent else "failed",
            attempts=table.c.attempts + 1,
            error=error,
            sent_at=now() if sent else None,
        )
    )


def read_untold(session: Session, *, limit: int = 5) -> list[dict[str, Any]]:
    """Messages that failed up to three times, or whose teller died; oldest first."""
    stale = now() - timedelta(seconds=_TELLING_SECONDS)
    dead = (table.c.status == "pending") & (table.c.created_at < stale)
    query = (
        select(table)
        .where(or_(table.c.status == "failed", dead), table.c.attempts < _MOST_TELLINGS)
        .order_by(table.c.created_at)
        .limit(limit)
    )
    return [as_dict(row) for row in session.execute(query)]


def read_notifications(session: Session, *, status: str | None = None) -> list[dict[str, Any]]:
    """Notifications, newest first."""
    query = select(table).order_by(table.c.created_at.desc())
    if status is not None:
        query = query.where(table.c.status == status)
    return [as_dict(row) for row in session.execute(query)]
