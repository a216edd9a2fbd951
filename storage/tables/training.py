"""Candidates and case results of training runs."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Integer, Table, Text

from cornerman.storage.database.types import Json, SafeText, Timestamp, metadata

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
)
