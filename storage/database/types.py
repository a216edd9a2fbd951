"""The one clock of stored times.

Column types with one behaviour on SQLite and PostgreSQL.

SQLite keeps JSON and time stamps as TEXT, as the checkpoint table that users already have does.

Rows: as plain dictionaries, and stored once.

The one MetaData that all tables belong to.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BOOLEAN,
    JSON,
    TIMESTAMP,
    BigInteger,
    Dialect,
    Integer,
    MetaData,
    Row,
    Table,
    Text,
)
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeDecorator, TypeEngine

from cornerman.domain.secrets import redact

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


# json and the databases recurse; nothing that was accepted as input is nested as deep.
_DEEPEST = 200
_MOST_INTEGER_BITS = 1024  # above it, Python may refuse to print or to read the number
TOO_DEEP = "(nested too deeply to be stored)"


def plain_text(text: str) -> str:
    """Text that any database takes, without secrets.

    NUL becomes U+FFFD, halves of surrogate pairs `?`.
    """
    text = redact(text)
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def plain_json(value: Any, depth: int = 0) -> Any:
    """Make a value JSON-safe: NaN and infinities become None, text that of `plain_text`.

    PostgreSQL refuses such values, and a row must not be lost for what a model wrote.
    """
    if isinstance(value, str):
        return plain_text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        bits = value.bit_length()
        return value if bits <= _MOST_INTEGER_BITS else f"(an integer of {bits} bits)"
    if depth >= _DEEPEST:
        return TOO_DEEP
    if isinstance(value, dict):
        return {plain_text(str(k)): plain_json(v, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain_json(v, depth + 1) for v in value]
    return plain_text(str(value))


class Json(TypeDecorator[Any]):
    """A JSON document: JSON on PostgreSQL, TEXT on SQLite. None is SQL NULL.

    Not JSONB, which sorts an object's keys: a run that is resumed must find its prompts and
    inputs in the order in which they were given.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(self._on_postgresql())
        return dialect.type_descriptor(Text())

    def _on_postgresql(self) -> TypeEngine[Any]:
        return JSON(none_as_null=True)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        if value is None:
            return None
        plain = plain_json(value)
        return plain if dialect.name == "postgresql" else json.dumps(plain, ensure_ascii=False)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return json.loads(value)


class Jsonb(Json):
    """A JSON document as the users' checkpoint table has it: JSONB on PostgreSQL."""

    cache_ok = True

    def _on_postgresql(self) -> TypeEngine[Any]:
        # The dialect's own, which a process on SQLite has no need to import.
        from sqlalchemy.dialects.postgresql import JSONB

        return JSONB(none_as_null=True)


class Timestamp(TypeDecorator[datetime]):
    """An aware UTC time: TIMESTAMPTZ on PostgreSQL, ISO 8601 TEXT on SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        utc = value.astimezone(UTC)
        # A fixed width keeps text order equal to time order.
        return utc if dialect.name == "postgresql" else utc.isoformat(timespec="microseconds")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        parsed = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)


class Flag(TypeDecorator[bool]):
    """A boolean: BOOLEAN on PostgreSQL, INTEGER 0 or 1 on SQLite."""

    impl = Integer
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(BOOLEAN() if dialect.name == "postgresql" else Integer())

    def process_bind_param(self, value: bool | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        return bool(value) if dialect.name == "postgresql" else int(bool(value))

    def process_result_value(self, value: Any, dialect: Dialect) -> bool | None:
        return None if value is None else bool(value)


class SafeText(TypeDecorator[str]):
    """Text that a model or a user wrote; NUL and lone surrogates are replaced, never refused."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else plain_text(value)


# SQLite only auto-increments a primary key that is spelt INTEGER.
AutoId = BigInteger().with_variant(Integer(), "sqlite")


def as_dict(row: Row[Any]) -> dict[str, Any]:
    """A row by column name. `_asdict` is SQLAlchemy's public name for it, as on named tuples."""
    return row._asdict()  # pyright: ignore[reportPrivateUsage]


def upsert(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that can say what to do about a conflict, which each dialect spells alike."""
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert

        return insert(table)
    from sqlalchemy.dialects.sqlite import insert as insert_sqlite

    return insert_sqlite(table)


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


metadata = MetaData()
