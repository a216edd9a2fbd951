"""Events: one append-only log per run."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import bindparam, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from cornerman.domain.errors import NotFoundError
from cornerman.domain.runs import Event, NewEvent
from cornerman.storage.database.types import now, upsert
from cornerman.storage.tables import events


@cache
def _append(dialect: str) -> Any:
    """One statement that takes the next `seq`, unless the event's key is in the log.

    Only one transaction writes at a time and nothing is ever deleted: no gaps, no twins.
    """
    given = ("run_id", "key", "node", "event", "payload", "created_at")
    names = [*given, "seq"]
    values = [bindparam(f"new_{name}", type_=events.c[name].type) for name in given]
    following = func.coalesce(func.max(events.c.seq), 0) + 1
    row = select(*values, following).where(events.c.run_id == bindparam("new_run_id"))
    return (
        upsert(dialect, events)
        .from_select(names, row)
        .on_conflict_do_nothing(index_elements=["run_id", "key"])
        .returning(events.c.seq)
    )


def create_event(session: Session, run_id: str, event: NewEvent) -> Event | None:
    """Append an event; None when its key is in the log already.

    Raises:
        NotFoundError: There is no such run.
    """
    created_at = now()
    values = {
        "new_run_id": run_id,
        "new_key": event.key,
        "new_node": event.node,
        "new_event": event.event,
        "new_payload": event.payload,
        "new_created_at": created_at,
    }
    try:
        appended = session.execute(_append(session.get_bind().dialect.name), values)
        seq = appended.scalar_one_or_none()
    except IntegrityError as error:
        raise NotFoundError(
            f"There is no run {run_id!r} to write events for.", field="run_id"
        ) from error
    if seq is None:
        return None
    return Event(run_id, seq, event.node, event.event, event.payload, created_at)


_READ = (
    select(events)
    .where(events.c.run_id == bindparam("run_id"), events.c.seq > bindparam("after"))
    .order_by(events.c.seq)
    .limit(bindparam("most"))
)


def read_events(session: Session, run_id: str, *, after: int = 0, limit: int = 1000) -> list[Event]:
    """Events with `seq` over `after`, in order, at most `limit`."""
    found = session.execute(_READ, {"run_id": run_id, "after": after, "most": limit})
    return [
        Event(row.run_id, row.seq, row.node, row.event, row.payload, row.created_at)
        for row in found
    ]
