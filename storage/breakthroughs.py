"""Breakthroughs: one per battle, with the state of their review."""

from __future__ import annotations

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from cornerman.domain.battles.breakthroughs import Breakthrough, BreakthroughStatus
from cornerman.domain.errors import BadInputError, NotFoundError
from cornerman.storage.database.types import now
from cornerman.storage.tables import breakthroughs as table


def create_breakthrough(session: Session, breakthrough: Breakthrough) -> bool:
    """Store a breakthrough; False when its battle has one already."""
    there = select(table.c.id).where(table.c.battle_id == breakthrough.battle_id)
    if session.execute(there).first() is not None:
        return False
    moment = now()
    dated = breakthrough.model_copy(update={"created_at": moment})
    session.execute(
        insert(table).values(
            id=dated.id,
            workflow_id=dated.workflow_id,
            battle_id=dated.battle_id,
            state=dated.status,
            record=dated.model_dump(mode="json"),
            created_at=moment,
            updated_at=moment,
        )
    )
    return True


def update_breakthrough(session: Session, breakthrough: Breakthrough) -> None:
    """Store a breakthrough's new state, merges or confirmation."""
    session.execute(
        update(table)
        .where(table.c.id == breakthrough.id)
        .values(
            state=breakthrough.status,
            record=breakthrough.model_dump(mode="json"),
            updated_at=now(),
        )
    )


def review_breakthrough(
    session: Session,
    breakthrough_id: str,
    to: BreakthroughStatus,
    *,
    by: str,
    reason: str = "",
    checkpoint_id: str | None = None,
) -> Breakthrough:
    """Change a breakthrough's state and keep who did, when and why.

    Args:
        checkpoint_id: What it was promoted to; needed for `promoted` alone.

    Raises:
        NotFoundError: There is none of that id.
        BadInputError: The state may not follow the present one, or it would be promoted by hand.
    """
    found = read_breakthrough(session, breakthrough_id)
    if found is None:
        raise NotFoundError(
            f"There is no breakthrough {breakthrough_id!r}.", field="breakthrough_id"
        )
    if to == "promoted" and checkpoint_id is None:
        raise BadInputError(
            "status: a breakthrough is promoted by its trial on other personas, not by hand.",
            field="status",
            hint="Run the flow promote-breakthrough on it.",
        )
    moved = found.moved(to, by=by, reason=reason, at=now())
    if checkpoint_id is not None:
        moved = moved.model_copy(update={"checkpoint_id": checkpoint_id})
    update_breakthrough(session, moved)
    return moved


def read_breakthrough(session: Session, breakthrough_id: str) -> Breakthrough | None:
    """One breakthrough; None when there is none of that id."""
    query = select(table.c.record).where(table.c.id == breakthrough_id)
    record = session.execute(query).scalar_one_or_none()
    return None if record is None else Breakthrough.model_validate(record)


def read_breakthroughs(
    session: Session,
    *,
    workflow_id: str | None = None,
    status: str | None = None,
    batch_id: str | None = None,
) -> list[Breakthrough]:
    """Breakthroughs, oldest first."""
    query = select(table.c.record).order_by(table.c.created_at, table.c.id)
    if workflow_id is not None:
        query = query.where(table.c.workflow_id == workflow_id)
    if status is not None:
        query = query.where(table.c.state == status)
    found = [Breakthrough.model_validate(record) for record in session.execute(query).scalars()]
    return [b for b in found if batch_id is None or b.batch_id == batch_id]
