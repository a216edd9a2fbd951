"""Column types with one behaviour on SQLite and PostgreSQL.

SQLite keeps JSON and time stamps as TEXT, as the checkpoint table that users already have does.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, Text
from sqlalchemy.dialects.postgresql import BOOLEAN, JSONB, TIMESTAMP
from sqlalchemy.types import TypeDecorator, TypeEngine


def _plain(value: Any) -> Any:
    """Make a value JSON-safe: NaN and infinities become None, NUL leaves strings.

    PostgreSQL's JSONB refuses both, and a row must not be lost for what a model wrote.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {str(_plain(k)): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, (bool, int)):
        return value
    return str(value)


class Json(TypeDecorator[Any]):
    """A JSON document: JSONB on PostgreSQL, TEXT on SQLite."""

    impl = Text
    cache_ok = True
    # None is stored as JSON null only where the column is NOT NULL; elsewhere it is SQL NULL.

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(JSONB(none_as_null=True))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        if value is None:
            return None
        plain = _plain(value)
        return plain if dialect.name == "postgresql" else json.dumps(plain, ensure_ascii=False)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return json.loads(value)


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
        return None if value is None else _plain(value)


# SQLite only auto-increments a primary key that is spelt INTEGER.
AutoId = BigInteger().with_variant(Integer(), "sqlite")
