"""Checkpoints, and each move of a workflow's best.

`agentensor_checkpoints` stands exactly as its users know it; the migration creates it with their
DDL and this module only describes it.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, Table, Text

from storage.tables.metadata import metadata
from storage.types import AutoId, Flag, Json, SafeText, Timestamp

agentensor_checkpoints = Table(
    "agentensor_checkpoints",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workflow_id", Text, nullable=False),
    Column("config_version", Integer, nullable=False),
    Column("runnable_config", Json, nullable=False),
    Column("metrics", Json, nullable=False),
    Column("metadata", Json, nullable=False),
    Column("artifact_url", Text),
    Column("is_best", Flag, nullable=False),
    Column("created_at", Timestamp, nullable=False),
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
