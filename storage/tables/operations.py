"""The kill-switch, notifications sent once, and leases."""

from __future__ import annotations

from sqlalchemy import Column, Integer, Table, Text

from cornerman.storage.database.types import AutoId, Flag, Json, SafeText, Timestamp, metadata

kill_switch = Table(
    "kill_switch",
    metadata,
    Column("id", AutoId, primary_key=True, autoincrement=True),
    Column("active", Flag, nullable=False),
    Column("reason", SafeText, nullable=False),
    Column("by", SafeText, nullable=False),
    Column("since", Timestamp, nullable=False),
)

notifications = Table(
    "notifications",
    metadata,
    Column("key", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("payload", Json, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", SafeText),
    Column("created_at", Timestamp, nullable=False),
    Column("sent_at", Timestamp),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("expires_at", Timestamp, nullable=False),
)
