"""Battles and their turns. A turn is stored when it is said, so a killed battle goes on from it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, insert, literal, select, update
from sqlalchemy.orm import Session

from cornerman.domain.battles import Battle, Turn
from cornerman.domain.money import usd_to_pico
from cornerman.domain.personas import Persona, Scenario
from cornerman.storage.database.types import Flag, as_dict, now
from cornerman.storage.tables import battles as table
from cornerman.storage.tables import turns

_FINISHED = ("scored", "unscored", "failed", "cancelled")


def _values(battle: Battle) -> dict[str, Any]:
    return {
        "batch_id": battle.batch_id,
        "workflow_id": battle.workflow_id,
        "persona_id": battle.persona_id,
        "ordinal": battle.position,
        "status": battle.status,
        "score": battle.score,
        "ended_by": battle.ended_by,
        "spoiled": battle.spoiled,
        "simulated": battle.simulated,
        "agent_version": battle.agent_version,
        "cost_pico": usd_to_pico(battle.cost_usd),
        "record": battle.model_dump(mode="json", exclude={"turns"}),
        "finished_at": now() if battle.status in _FINISHED else None,
    }


def create_battle(session: Session, battle: Battle, persona: Persona, scenario: Scenario) -> None:
    """Store a battle that is to be held; one that is there already stays as it is."""
    if session.execute(select(table.c.id).where(table.c.id == battle.id)).first() is None:
        setting = {
            "persona": persona.model_dump(mode="json"),
            "scenario": scenario.model_dump(mode="json"),
        }
        values = _values(battle) | {"id": battle.id, "setting": setting, "created_at": now()}
        session.execute(insert(table).values(values))


def read_setting(session: Session, battle_id: str) -> tuple[Persona, Scenario] | None:
    """Persona and scenario as they were met; None when there is no such battle."""
    query = select(table.c.setting).where(table.c.id == battle_id)
    setting = session.execute(query).scalar_one_or_none()
    if setting is None:
        return None
    persona = Persona.model_validate(setting["persona"])
    return persona, Scenario.model_validate(setting["scenario"])


def update_battle(session: Session, battle: Battle) -> None:
    """Store what became of a battle."""
    session.execute(update(table).where(table.c.id == battle.id).values(_values(battle)))


def create_turn(session: Session, battle_id: str, turn: Turn) -> None:
    """Store one turn; one that is there already stays as it is."""
    there = select(turns.c.index).where(turns.c.battle_id == battle_id, turns.c.index == turn.index)
    if session.execute(there).first() is None:
        session.execute(
            insert(turns).values(
                battle_id=battle_id,
                index=turn.index,
                speaker=turn.speaker,
                text=turn.text,
                facts=turn.model_dump(mode="json", exclude={"index", "speaker", "text"}),
                created_at=now(),
            )
        )


def read_turns(session: Session, battle_id: str) -> tuple[Turn, ...]:
    """A battle's turns in order."""
    query = select(turns).where(turns.c.battle_id == battle_id).order_by(turns.c.index)
    return tuple(
        # A row has a method `index` of its own, so the columns are taken by name.
        Turn(index=row["index"], speaker=row["speaker"], text=row["text"], **row["facts"])
        for row in map(as_dict, session.execute(query))
    )


def _record(row: Row[Any], told: tuple[Turn, ...] = ()) -> Battle:
    return Battle.model_validate(as_dict(row)["record"]).model_copy(update={"turns": told})


def read_battle(session: Session, battle_id: str) -> Battle | None:
    """One battle with its turns; None when there is none of that id."""
    row = session.execute(select(table).where(table.c.id == battle_id)).one_or_none()
    return None if row is None else _record(row, read_turns(session, battle_id))


def read_battles(
    session: Session,
    *,
    batch_id: str | None = None,
    workflow_id: str | None = None,
    simulated: bool | None = None,
    limit: int | None = None,
    with_turns: bool = False,
) -> list[Battle]:
    """Battles in the order in which they were made; with `limit`, the newest so many.

    Args:
        simulated: Only battles of the rehearsal endpoint, or only real ones.
    """
    query = select(table)
    if simulated is not None:
        query = query.where(table.c.simulated == literal(simulated, Flag()))
    if batch_id is not None:
        query = query.where(table.c.batch_id == batch_id)
    if workflow_id is not None:
        query = query.where(table.c.workflow_id == workflow_id)
    query = query.order_by(table.c.created_at.desc(), table.c.ordinal.desc()).limit(limit)
    rows = list(reversed(list(session.execute(query))))
    return [_record(row, read_turns(session, row.id) if with_turns else ()) for row in rows]


def read_earlier_scores(session: Session, battle: Battle, *, limit: int = 100) -> list[float]:
    """The agent's rated scores in earlier battles with the same persona, oldest first.

    Simulated battles are compared with simulated ones, and re-runs that only confirm are no
    history of their own.
    """
    made = select(table.c.created_at).where(table.c.id == battle.id).scalar_subquery()
    query = (
        select(table)
        .where(table.c.workflow_id == battle.workflow_id, table.c.persona_id == battle.persona_id)
        .where(table.c.simulated == literal(battle.simulated, Flag()), table.c.created_at < made)
        .order_by(table.c.created_at.desc())
        .limit(limit)
    )
    earlier = [_record(row) for row in reversed(list(session.execute(query)))]
    rated = (b.score for b in earlier if b.rated and b.confirms is None)
    return [score for score in rated if score is not None]


def read_unscouted_ids(
    session: Session, *, batch_id: str | None = None, limit: int = 200
) -> list[str]:
    """Scored battles that no scout has looked at yet, oldest first."""
    query = select(table.c.id).where(table.c.status == "scored", table.c.scouted_at.is_(None))
    if batch_id is not None:
        query = query.where(table.c.batch_id == batch_id)
    query = query.order_by(table.c.created_at, table.c.ordinal).limit(limit)
    return list(session.execute(query).scalars())


def is_scouted(session: Session, battle_id: str) -> bool:
    """Whether a scout has looked at the battle."""
    query = select(table.c.scouted_at).where(table.c.id == battle_id)
    return session.execute(query).scalar_one_or_none() is not None


def update_scouted(session: Session, battle_id: str) -> bool:
    """Mark a battle as looked at; False when it was already, so that only one scout takes it."""
    marked = session.execute(
        update(table)
        .where(table.c.id == battle_id, table.c.scouted_at.is_(None))
        .values(scouted_at=now())
        .returning(table.c.id)
    )
    return marked.first() is not None
