"""Candidates and case results of training runs.

Checkpoints, and each move of a workflow's best.

`agentensor_checkpoints` stands exactly as its users know it; the migration creates it with their
DDL and this module only describes it.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, Table, Text, text

from cornerman.storage.database.types import (
    AutoId,
    Flag,
    Json,
    Jsonb,
    SafeText,
    Timestamp,
    metadata,
)

candidates = Table(
    "candidates",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("parent_id", Text),
    Column("epoch", Integer, nullable=False),
    Column("origin", SafeText, nullable=False),
    Column("prompts", Json, nullable=False),
    Column("decision", Json),
    Column("created_at", Timestamp, nullable=False),
)

case_results = Table(
    "case_results",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id"), primary_key=True),
    Column("candidate_id", Text, primary_key=True),
    Column("case_id", Text, primary_key=True),
    Column("repeat", Integer, primary_key=True),
    Column("case_index", Integer, nullable=False),
    Column("split", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("inputs", Json),
    Column("expected_output", Json),
    Column("output", Json),
    Column("evaluations", Json, nullable=False),
    Column("score", Float),
    Column("error", Json),
    Column("duration_ms", Float, nullable=False),
    Column("cost_pico", BigInteger, nullable=False),
    Column("model_calls", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("finish_reason", Text),
)


agentensor_checkpoints = Table(
    "agentensor_checkpoints",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workflow_id", Text, nullable=False),
    Column("config_version", Integer, nullable=False),
    Column("runnable_config", Jsonb, nullable=False),
    Column("metrics", Jsonb, nullable=False),
    Column("metadata", Jsonb, nullable=False),
    Column("artifact_url", Text),
    Column("is_best", Flag, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Index("idx_agentensor_checkpoints_workflow", "workflow_id", "config_version"),
    Index("idx_agentensor_checkpoints_best", "workflow_id", "is_best"),
    # Ours, added to the table as it stood: versions are unique, and there is one best.
    Index("uq_agentensor_checkpoints_version", "workflow_id", "config_version", unique=True),
    Index(
        "uq_agentensor_checkpoints_one_best",
        "workflow_id",
        unique=True,
        sqlite_where=text("is_best = 1"),
        postgresql_where=text("is_best"),
    ),
)

best_moves = Table(
    "best_moves",
    metadata,
    Column("id", AutoId, primary_key=True, autoincrement=True),
    Column("workflow_id", Text, nullable=False),
    Column("checkpoint_id", Text, nullable=False),
    Column("previous_id", Text),
    Column("reason", SafeText, nullable=False),
    Column("by", Text, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Index("idx_best_moves_workflow", "workflow_id", "id"),
)
