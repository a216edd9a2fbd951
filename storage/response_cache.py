"""Answers of identical calls at temperature 0, kept only for runs that ask for it."""

from __future__ import annotations

from cornerman.storage.clock import now
from cornerman.storage.rows import insert_once
from cornerman.storage.tables import response_cache
from sqlalchemy import select
from sqlalchemy.orm import Session


def read_cached_answer(session: Session, key: str) -> str | None:
    """The stored answer; None when there is none."""
    query = select(response_cache.c.answer).where(response_cache.c.key == key)
    return session.execute(query).scalar_one_or_none()


def create_cached_answer(session: Session, key: str, answer: str) -> None:
    """Store an answer; the first one stored stands."""
    insert_once(session, response_cache, {"key": key, "answer": answer, "created_at": now()})
