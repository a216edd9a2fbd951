"""Who works on which run, without the runs' documents: for those who look every second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cornerman.storage.clock import now
from cornerman.storage.tables import runs
from sqlalchemy import select
from sqlalchemy.orm import Session

from cornerman.domain.runs import DEAD_AFTER_SECONDS


@dataclass(frozen=True)
class Claim:
    """A run that a process works on, or worked on when it died."""

    id: str
    owner: str | None
    flow_run_id: str | None
    cancel_requested_at: datetime | None


def read_dead_claims(session: Session, is_gone: Callable[[str], bool]) -> list[Claim]:
    """Runs that claim to run while their process has been silent for too long, or is gone.

    Args:
        is_gone: Tells that an owner's process has ended, when that can be known from here.
    """
    oldest = now() - timedelta(seconds=DEAD_AFTER_SECONDS)
    columns = runs.c.id, runs.c.owner, runs.c.flow_run_id, runs.c.cancel_requested_at
    query = select(*columns, runs.c.heartbeat_at).where(runs.c.status == "running")
    return [
        Claim(row.id, row.owner, row.flow_run_id, row.cancel_requested_at)
        for row in session.execute(query)
        if row.heartbeat_at is None
        or row.heartbeat_at < oldest
        or (row.owner is not None and is_gone(row.owner))
    ]
