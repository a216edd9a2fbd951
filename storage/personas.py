"""Personas of a workflow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.orm import Session

from cornerman.domain.personas import Persona, Scenario
from cornerman.storage.database.types import as_dict, now
from cornerman.storage.tables import personas as table

_SAME_NAME = (
    "id",
    "name",
    "description",
    "persona_type",
    "system_prompt",
    "characteristics",
    "attack_patterns",
    "difficulty",
    "workflow_id",
    "metadata",
    "source",
)


def _values(persona: Persona) -> dict[str, Any]:
    scenario = persona.scenario
    return {name: getattr(persona, name) for name in _SAME_NAME} | {
        "is_active": persona.active,
        "scenario": None if scenario is None else scenario.model_dump(mode="json"),
    }


def _record(row: Row[Any]) -> Persona:
    values = as_dict(row)
    scenario = values["scenario"]
    return Persona(
        **{name: values[name] for name in _SAME_NAME},
        active=values["is_active"],
        scenario=None if scenario is None else Scenario.model_validate(scenario),
    )


def create_personas(session: Session, personas: Iterable[Persona]) -> tuple[int, int]:
    """Store personas; those whose id is there already are brought up to date, once.

    Returns:
        How many are new, and how many were there.
    """
    created = known = 0
    for persona in personas:
        here = (table.c.workflow_id == persona.workflow_id, table.c.id == persona.id)
        if session.execute(select(table.c.id).where(*here)).first() is not None:
            # Whether it is met is the user's own decision, which an import must not undo.
            values = {k: v for k, v in _values(persona).items() if k != "is_active"}
            session.execute(update(table).where(*here).values(values))
            known += 1
        else:
            session.execute(insert(table).values(_values(persona) | {"created_at": now()}))
            created += 1
    return created, known


def read_personas(
    session: Session, workflow_id: str, *, active: bool | None = None
) -> list[Persona]:
    """Personas of a workflow by id; `active` keeps those that are met, or those that are not."""
    query = select(table).where(table.c.workflow_id == workflow_id).order_by(table.c.id)
    found = [_record(row) for row in session.execute(query)]
    return [p for p in found if active is None or p.active == active]


def read_persona(session: Session, workflow_id: str, persona_id: str) -> Persona | None:
    """One persona; None when the workflow has none of that id."""
    query = select(table).where(table.c.workflow_id == workflow_id, table.c.id == persona_id)
    row = session.execute(query).one_or_none()
    return None if row is None else _record(row)


def count_personas(session: Session, workflow_id: str) -> int:
    """How many personas a workflow has, active or not."""
    query = select(func.count()).select_from(table).where(table.c.workflow_id == workflow_id)
    return session.execute(query).scalar_one()


def update_persona_active(
    session: Session, workflow_id: str, persona_id: str, *, active: bool
) -> bool:
    """Say whether a persona is met; False when there is none of that id."""
    changed = session.execute(
        update(table)
        .where(table.c.workflow_id == workflow_id, table.c.id == persona_id)
        .values(is_active=active)
        .returning(table.c.id)
    )
    return changed.first() is not None
