"""Model calls, the budgets that hold them, and answers kept for reuse."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, Table, Text, text

from cornerman.storage.database.types import Flag, Json, SafeText, Timestamp, metadata

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

# What each of them said; see `cornerman.domain.traces`. `replay` is there until its case has ended.
call_traces = Table(
    "call_traces",
    metadata,
    Column("call_id", Text, primary_key=True),
    Column("run_id", Text, ForeignKey("runs.id"), nullable=False),
    Column("subject", Text, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("content", Json, nullable=False),
    Column("replay", Json),
    Column("has_replay", Flag, nullable=False),
    Index("idx_call_traces_subject", "run_id", "subject", "seq"),
)

# What is left of a run's calls once `cornerman db prune` has taken them away.
ledger_sums = Table(
    "ledger_sums",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id"), primary_key=True),
    Column("role", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("simulated", Flag, nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost_pico", BigInteger, nullable=False),
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

# How long answers of models that think had to be allowed to be; see `clients.output_limits`.
output_limits = Table(
    "output_limits",
    metadata,
    Column("endpoint", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("max_tokens", Integer, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
)
