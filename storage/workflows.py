"""Workflows: what is trained and battled."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from cornerman.storage.database.types import now
from cornerman.storage.tables import workflows


def read_workflow(session: Session, workflow_id: str) -> dict[str, Any] | None:
    """The workflow's config (rubric, limits, last spec); None when it is unknown."""
    query = select(workflows.c.config).where(workflows.c.id == workflow_id)
    return session.execute(query).scalar_one_or_none()


def read_workflow_ids(session: Session) -> list[str]:
    """All workflow ids, in order."""
    return list(session.execute(select(workflows.c.id).order_by(workflows.c.id)).scalars())


def create_workflow(
    session: Session, workflow_id: str, config: dict[str, Any] | None = None
) -> None:
    """Make sure that the workflow exists; merges `config` into what it has."""
    current = read_workflow(session, workflow_id)
    if current is None:
        values = {"id": workflow_id, "config": config or {}, "created_at": now()}
        session.execute(insert(workflows).values(values))
    elif config and any(current.get(key) != value for key, value in config.items()):
        merged = current | config
        session.execute(
            update(workflows).where(workflows.c.id == workflow_id).values(config=merged)
        )
