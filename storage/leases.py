"""Leases: what only one process may do at a time, given up by whoever dies."""

from __future__ import annotations

from datetime import timedelta

from cornerman.storage.clock import now
from cornerman.storage.tables import leases
from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session


def acquire_lease(session: Session, name: str, holder: str, *, ttl_seconds: float) -> str | None:
    """Take or renew a lease; returns None when it is ours, else who holds it."""
    row = session.execute(select(leases).where(leases.c.name == name)).one_or_none()
    expires_at = now() + timedelta(seconds=ttl_seconds)
    if row is None:
        session.execute(insert(leases).values(name=name, holder=holder, expires_at=expires_at))
        return None
    if row.holder != holder and row.expires_at > now():
        return row.holder
    session.execute(
        update(leases).where(leases.c.name == name).values(holder=holder, expires_at=expires_at)
    )
    return None


def read_lease_holder(session: Session, name: str) -> str | None:
    """Who holds the lease now; None when nobody does."""
    row = session.execute(select(leases).where(leases.c.name == name)).one_or_none()
    return row.holder if row is not None and row.expires_at > now() else None


def delete_lease(session: Session, name: str, holder: str) -> None:
    """Give a lease up; another's stays."""
    session.execute(delete(leases).where(leases.c.name == name, leases.c.holder == holder))
