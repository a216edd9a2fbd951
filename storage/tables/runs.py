"""Workflows, their runs and what a run writes as it goes; the kill-switch, messages and leases."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, Table, Text, UniqueConstraint

from cornerman.storage.database.types import AutoId, Flag, Json, SafeText, Timestamp, metadata

workflows = Table(
    "workflows",
    metadata,
    Column("id", Text, primary_key=True),
    Column("config", Json, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("workflow_id", Text, ForeignKey("workflows.id"), nullable=False),
    Column("status", Text, nullable=False),
    Column("stopped_by", Text),
    Column("request", Json, nullable=False),
    Column("random_state", Json, nullable=False),
    Column("metrics", Json, nullable=False),
    Column("result", Json),
    Column("error", Json),
    Column("simulated", Flag, nullable=False),
    Column("idempotency_key", Text),
    Column("flow_run_id", Text),
    Column("owner", Text),
    Column("heartbeat_at", Timestamp),
    Column("cancel_requested_at", Timestamp),
    Column("created_at", Timestamp, nullable=False),
    Column("started_at", Timestamp),
    Column("finished_at", Timestamp),
    UniqueConstraint("kind", "idempotency_key", name="uq_runs_idempotency"),
    Index("idx_runs_workflow", "workflow_id", "created_at"),
    Index("idx_runs_kind_status", "kind", "status"),
)

events = Table(
    "events",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("key", Text),
    Column("node", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("payload", Json, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    UniqueConstraint("run_id", "key", name="uq_events_key"),
)

run_steps = Table(
    "run_steps",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("result", Json, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)


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
