"""Personas, battles with their turns, breakthroughs and ratings."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, Table, Text

from cornerman.storage.database.types import Flag, Json, SafeText, Timestamp, metadata

personas = Table(
    "sandbox_personas",
    metadata,
    Column("workflow_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("name", SafeText, nullable=False),
    Column("description", SafeText, nullable=False),
    Column("persona_type", Text, nullable=False),
    Column("system_prompt", SafeText, nullable=False),
    Column("characteristics", Json, nullable=False),
    Column("attack_patterns", Json, nullable=False),
    Column("difficulty", Integer, nullable=False),
    Column("is_active", Flag, nullable=False),
    Column("scenario", Json),
    Column("metadata", Json, nullable=False),
    Column("source", Text, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)

battles = Table(
    "sandbox_battles",
    metadata,
    Column("id", Text, primary_key=True),
    Column("batch_id", Text, ForeignKey("runs.id"), nullable=False),
    Column("workflow_id", Text, nullable=False),
    Column("persona_id", Text, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("score", Float),
    Column("ended_by", Text),
    Column("spoiled", Flag, nullable=False),
    Column("simulated", Flag, nullable=False),
    Column("agent_version", Text, nullable=False),
    Column("cost_pico", BigInteger, nullable=False),
    # Persona, scenario and seed as they were met.
    Column("setting", Json, nullable=False),
    # Everything else that a battle is: verdict, outcome, errors.
    Column("record", Json, nullable=False),
    Column("scouted_at", Timestamp),
    Column("created_at", Timestamp, nullable=False),
    Column("finished_at", Timestamp),
    Index("idx_battles_batch", "batch_id", "ordinal"),
    Index("idx_battles_persona", "workflow_id", "persona_id", "created_at"),
)

turns = Table(
    "battle_turns",
    metadata,
    Column("battle_id", Text, ForeignKey("sandbox_battles.id"), primary_key=True),
    Column("index", Integer, primary_key=True),
    Column("speaker", Text, nullable=False),
    Column("text", SafeText, nullable=False),
    Column("facts", Json, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)

breakthroughs = Table(
    "breakthroughs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workflow_id", Text, nullable=False),
    Column("battle_id", Text, ForeignKey("sandbox_battles.id"), nullable=False, unique=True),
    Column("state", Text, nullable=False),
    Column("record", Json, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Index("idx_breakthroughs_state", "workflow_id", "state"),
)

ratings = Table(
    "ratings",
    metadata,
    Column("workflow_id", Text, primary_key=True),
    Column("batch_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("rating", Float, nullable=False),
    Column("low", Float),
    Column("high", Float),
    Column("battles", Integer, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)
