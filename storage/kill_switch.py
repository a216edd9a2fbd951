"""The kill-switch: an append-only history whose last row is the state."""

from __future__ import annotations

from cornerman.storage.clock import now
from cornerman.storage.tables import kill_switch
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from cornerman.domain.runs import KillSwitch

_LAST = select(kill_switch).order_by(kill_switch.c.id.desc()).limit(1)


def read_kill_switch(session: Session) -> KillSwitch:
    """The switch as it stands; off when nobody ever turned it."""
    row = session.execute(_LAST).first()
    if row is None:
        return KillSwitch(active=False)
    return KillSwitch(active=row.active, reason=row.reason, by=row.by, since=row.since)


def create_kill_switch_state(session: Session, *, active: bool, reason: str, by: str) -> KillSwitch:
    """Turn the switch; turning it to where it stands keeps who turned it first, and why."""
    current = read_kill_switch(session)
    if current.active == active:
        return current
    session.execute(insert(kill_switch).values(active=active, reason=reason, by=by, since=now()))
    return read_kill_switch(session)
