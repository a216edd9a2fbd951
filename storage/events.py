"""Events: one append-only log per run."""

from __future__ import annotations

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from cornerman.domain.errors import NotFoundError
from cornerman.domain.runs import Event, NewEvent
from storage.clock import now
from storage.tables import events, runs


def create_event(session: Session, run_id: str, event: NewEvent) -> Event | None:
    """Append an event; None when its key is in the log already.

    Raises:
        NotFoundError: There is no such run.
    """
    if event.key is not None:
        there = select(events.c.seq).where(events.c.run_id == run_id, events.c.key == event.key)
        if session.execute(there).first() is not None:
            return None
    # The counter lives in the run's row and moves in the writer transaction: no gaps, no twins.
    bump = update(runs).where(runs.c.id == run_id).values(last_seq=runs.c.last_seq + 1)
    seq = session.execute(bump.returning(runs.c.last_seq)).scalar_one_or_none()
    if seq is None:
        raise NotFoundError(f"There is no run {run_id!r} to write events for.", field="run_id")
    created_at = now()
    session.execute(
        insert(events).values(
            run_id=run_id,
            seq=seq,
            key=event.key,
            node=event.node,
            event=event.event,
            payload=event.payload,
            created_at=created_at,
        )
    )
    return Event(run_id, seq, event.node, event.event, event.payload, created_at)


def read_events(session: Session, run_id: str, *, after: int = 0, limit: int = 1000) -> list[Event]:
    """Events with `seq` over `after`, in order, at most `limit`."""
    query = (
        select(events)
        .where(events.c.run_id == run_id, events.c.seq > after)
        .order_by(events.c.seq)
        .limit(limit)
    )
    return [
        Event(row.run_id, row.seq, row.node, row.event, row.payload, row.created_at)
        for row in session.execute(query)
    ]
