"""Every table. Money is in picodollars (`*_pico`), times are UTC.

`agentensor_checkpoints` stands exactly as its users know it; the migration creates it with their
DDL and this module only describes it.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from storage.types import AutoId, Flag, Json, SafeText, Timestamp

metadata = MetaData()

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
    Column("last_seq", Integer, nullable=False),
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

run_steps = Table(
    "run_steps",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("result", Json, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)

llm_calls = Table(
    "llm_calls",
    metadata,
    Column("id", Text, primary_key=True),
    Column("run_id", Text, ForeignKey("runs.id"), nullable=False),
    Column("subject", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("outcome", Text),
    Column("budgets", Json, nullable=False),
    Column("reserved_pico", BigInteger, nullable=False),
    Column("cost_pico", BigInteger, nullable=False),
    Column("input_tokens", Integer, nullable=False),
    Column("cached_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    Column("latency_ms", Float, nullable=False),
    Column("simulated", Flag, nullable=False),
    Column("error", SafeText),
    Column("created_at", Timestamp, nullable=False),
    Column("settled_at", Timestamp),
    Index("idx_llm_calls_run", "run_id", "subject"),
    # Only calls in flight are looked up by status, and there are few of them.
    Index(
        "idx_llm_calls_reserved",
        "run_id",
        sqlite_where=text("status = 'reserved'"),
        postgresql_where=text("status = 'reserved'"),
    ),
)

budgets = Table(
    "budgets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("limit_pico", BigInteger, nullable=False),
    Column("spent_pico", BigInteger, nullable=False),
    Column("reserved_pico", BigInteger, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
)

response_cache = Table(
    "response_cache",
    metadata,
    Column("key", Text, primary_key=True),
    Column("answer", SafeText, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)

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
    # Everything else that a battle is: persona and scenario as they were met, verdict, outcome.
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
