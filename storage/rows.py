"""Rows as plain dictionaries."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row


def as_dict(row: Row[Any]) -> dict[str, Any]:
    """A row by column name. `_asdict` is SQLAlchemy's public name for it, as on named tuples."""
    return row._asdict()  # pyright: ignore[reportPrivateUsage]
