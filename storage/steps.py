"""Answers of identical calls at temperature 0, kept only for runs that ask for it, and of judges.

Steps: results of work that must not be done twice, such as an optimizer's rewrite.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from cornerman.storage.database.types import insert_once, now, upsert
from cornerman.storage.tables import response_cache, run_steps

# Databases bound how many values one statement may have.
_KEYS_AT_ONCE = 500


def read_cached_answer(session: Session, key: str) -> str | None:
    """The stored answer; None when there is none."""
    query = select(response_cache.c.answer).where(response_cache.c.key == key)
    return session.execute(query).scalar_one_or_none()


def create_cached_answer(session: Session, key: str, answer: str) -> None:
    """Store an answer; the first one stored stands."""
    insert_once(session, response_cache, {"key": key, "answer": answer, "created_at": now()})


def read_cached_answers(session: Session, keys: Sequence[str]) -> dict[str, str]:
    """The stored answers of several keys, by key; those without one are absent."""
    found = dict[str, str]()
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[start : start + _KEYS_AT_ONCE]
        query = select(response_cache.c.key, response_cache.c.answer)
        rows = session.execute(query.where(response_cache.c.key.in_(some)))
        found |= {row.key: row.answer for row in rows}
    return found


def replace_cached_answer(session: Session, key: str, answer: str) -> None:
    """Store an answer in place of the one that may be there."""
    values = {"key": key, "answer": answer, "created_at": now()}
    statement = upsert(session.get_bind().dialect.name, response_cache).values(values)
    new = {"answer": answer, "created_at": values["created_at"]}
    session.execute(statement.on_conflict_do_update(index_elements=["key"], set_=new))


def read_step(session: Session, run_id: str, key: str) -> dict[str, Any] | None:
    """The step's stored result; None when it has not been done."""
    query = select(run_steps.c.result).where(run_steps.c.run_id == run_id, run_steps.c.key == key)
    return session.execute(query).scalar_one_or_none()


def read_steps(session: Session, run_id: str) -> dict[str, dict[str, Any]]:
    """All stored results of a run, by key."""
    query = select(run_steps.c.key, run_steps.c.result).where(run_steps.c.run_id == run_id)
    return {row.key: row.result for row in session.execute(query)}


def create_step(session: Session, run_id: str, key: str, result: dict[str, Any]) -> dict[str, Any]:
    """Store a step's result; the first one stored stands and is returned, as it reads later."""
    insert_once(
        session, run_steps, {"run_id": run_id, "key": key, "result": result, "created_at": now()}
    )
    stored = read_step(session, run_id, key)
    assert stored is not None
    return stored
