"""Rows: as plain dictionaries, and stored once."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Row, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session


def as_dict(row: Row[Any]) -> dict[str, Any]:
    """A row by column name. `_asdict` is SQLAlchemy's public name for it, as on named tuples."""
    return row._asdict()  # pyright: ignore[reportPrivateUsage]


def upsert(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that can say what to do about a conflict, which each dialect spells alike."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


@cache
def _insert_once(dialect: str, table: Table) -> Any:
    statement = upsert(dialect, table).on_conflict_do_nothing(
        index_elements=list(table.primary_key.columns)
    )
    # Without it, SQLAlchemy forgets how many rows an INSERT made.
    return statement.execution_options(preserve_rowcount=True)


def insert_once(session: Session, table: Table, values: dict[str, Any]) -> bool:
    """Insert a row unless its primary key is there; returns whether it was inserted."""
    statement = _insert_once(session.get_bind().dialect.name, table)
    return session.connection().execute(statement, values).rowcount == 1
