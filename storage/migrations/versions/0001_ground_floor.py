"""The ground floor: the checkpoint table as its users know it, and everything around it."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from cornerman.domain.errors import StorageError
import cornerman.storage.database.types as types

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Word for word the tables that existing installations have, so that they are adopted as they are.
_CHECKPOINTS = {
    "sqlite": """
CREATE TABLE IF NOT EXISTS agentensor_checkpoints (
    id TEXT PRIMARY KEY,
    workflow_id TEXT NOT NULL,
    config_version INTEGER NOT NULL,
    runnable_config TEXT NOT NULL,
    metrics TEXT NOT NULL,
    metadata TEXT NOT NULL DEFAULT '{}',
    artifact_url TEXT,
    is_best INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL
)""",
    "postgresql": """
CREATE TABLE IF NOT EXISTS agentensor_checkpoints (
    id TEXT PRIMARY KEY,
    workflow_id TEXT NOT NULL,
    config_version INTEGER NOT NULL,
    runnable_config JSONB NOT NULL,
    metrics JSONB NOT NULL,
    metadata JSONB NOT NULL DEFAULT '{}'::jsonb,
    artifact_url TEXT NULL,
    is_best BOOLEAN NOT NULL DEFAULT FALSE,
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
)""",
}
_CHECKPOINT_INDEXES = """
CREATE INDEX IF NOT EXISTS idx_agentensor_checkpoints_workflow
    ON agentensor_checkpoints (workflow_id, config_version);
CREATE INDEX IF NOT EXISTS idx_agentensor_checkpoints_best
    ON agentensor_checkpoints (workflow_id, is_best);
CREATE UNIQUE INDEX IF NOT EXISTS uq_agentensor_checkpoints_version
    ON agentensor_checkpoints (workflow_id, config_version);
"""
_ONE_BEST = """
CREATE UNIQUE INDEX IF NOT EXISTS uq_agentensor_checkpoints_one_best
    ON agentensor_checkpoints (workflow_id) WHERE {is_best}
"""


_COLUMNS = {
    "id",
    "workflow_id",
    "config_version",
    "runnable_config",
    "metrics",
    "metadata",
    "artifact_url",
    "is_best",
    "created_at",
}
_SHARED_VERSIONS = """
SELECT workflow_id, config_version, min(id) AS first_id, max(id) AS last_id
FROM agentensor_checkpoints GROUP BY workflow_id, config_version HAVING count(*) > 1
ORDER BY workflow_id, config_version LIMIT 3
"""
_SEVERAL_BEST = """
SELECT workflow_id FROM agentensor_checkpoints WHERE {is_best}
GROUP BY workflow_id HAVING count(*) > 1
"""
_BEST_OF_ONE = """
SELECT id FROM agentensor_checkpoints WHERE {is_best} AND workflow_id = :workflow_id
ORDER BY config_version DESC
"""
_UNMARK = "UPDATE agentensor_checkpoints SET is_best = {no} WHERE id = :id"


def _create_checkpoints() -> None:
    op.execute(_CHECKPOINTS[op.get_bind().dialect.name])
    found = {
        column["name"] for column in sa.inspect(op.get_bind()).get_columns("agentensor_checkpoints")
    }
    if missing := sorted(_COLUMNS - found):
        raise StorageError(
            "The table agentensor_checkpoints is there already, without its columns "
            + ", ".join(missing)
            + ".",
            hint="Add them, or give Cornerman a database of its own; then: cornerman db upgrade",
        )


def _create_checkpoint_indexes() -> None:
    dialect = op.get_bind().dialect.name
    for statement in _CHECKPOINT_INDEXES.split(";"):
        if statement.strip():
            op.execute(statement)
    op.execute(_ONE_BEST.format(is_best="is_best" if dialect == "postgresql" else "is_best = 1"))


def _refuse_shared_versions() -> None:
    """Versions are how users name checkpoints: which of two keeps its number is for them to say."""
    shared = op.get_bind().execute(sa.text(_SHARED_VERSIONS)).all()
    if not shared:
        return
    named = "; ".join(
        f"workflow {row.workflow_id!r} version {row.config_version} "
        f"({row.first_id!r} and {row.last_id!r})"
        for row in shared
    )
    raise StorageError(
        "The table agentensor_checkpoints is there already, and checkpoints share a version, "
        f"which must be unique in a workflow: {named}.",
        hint="Give each a config_version of its own, such as: UPDATE agentensor_checkpoints SET "
        f"config_version = … WHERE id = '{shared[0].last_id}'; then: cornerman db upgrade",
    )


def _keep_one_best() -> None:
    """Of several best, leave the newest marked: the last that anybody chose. Keep a note of it."""
    connection = op.get_bind()
    on_postgresql = connection.dialect.name == "postgresql"
    is_best = "is_best" if on_postgresql else "is_best = 1"
    several = connection.execute(sa.text(_SEVERAL_BEST.format(is_best=is_best))).scalars().all()
    for workflow_id in several:
        query = sa.text(_BEST_OF_ONE.format(is_best=is_best))
        newest, *others = connection.execute(query, {"workflow_id": workflow_id}).scalars().all()
        for other in others:
            unmark = sa.text(_UNMARK.format(no="FALSE" if on_postgresql else "0"))
            connection.execute(unmark, {"id": other})
        moves = sa.table(
            "best_moves",
            *(sa.column(name) for name in ("workflow_id", "checkpoint_id", "previous_id", "by")),
            sa.column("reason", types.SafeText()),
            sa.column("created_at", types.Timestamp()),
        )
        connection.execute(
            moves.insert().values(
                workflow_id=workflow_id,
                checkpoint_id=newest,
                previous_id=others[0],
                reason="several checkpoints were marked as the best; the newest of them stays",
                by="db upgrade",
                created_at=datetime.now(UTC),
            )
        )


def upgrade() -> None:
    _create_checkpoints()
    op.create_table(
        "best_moves",
        sa.Column("id", types.AutoId, autoincrement=True, nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("checkpoint_id", sa.Text(), nullable=False),
        sa.Column("previous_id", sa.Text(), nullable=True),
        sa.Column("reason", types.SafeText(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("idx_best_moves_workflow", "best_moves", ["workflow_id", "id"], unique=False)
    _refuse_shared_versions()
    _keep_one_best()
    _create_checkpoint_indexes()
    op.create_table(
        "budgets",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("limit_pico", sa.BigInteger(), nullable=False),
        sa.Column("spent_pico", sa.BigInteger(), nullable=False),
        sa.Column("reserved_pico", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "kill_switch",
        sa.Column("id", types.AutoId, autoincrement=True, nullable=False),
        sa.Column("active", types.Flag(), nullable=False),
        sa.Column("reason", types.SafeText(), nullable=False),
        sa.Column("by", types.SafeText(), nullable=False),
        sa.Column("since", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("expires_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "notifications",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", types.Json(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", types.SafeText(), nullable=True),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("sent_at", types.Timestamp(), nullable=True),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "ratings",
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("rating", sa.Float(), nullable=False),
        sa.Column("low", sa.Float(), nullable=True),
        sa.Column("high", sa.Float(), nullable=True),
        sa.Column("battles", sa.Integer(), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("workflow_id", "batch_id", "kind", "subject"),
    )
    op.create_table(
        "response_cache",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("answer", types.SafeText(), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "sandbox_personas",
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", types.SafeText(), nullable=False),
        sa.Column("description", types.SafeText(), nullable=False),
        sa.Column("persona_type", sa.Text(), nullable=False),
        sa.Column("system_prompt", types.SafeText(), nullable=False),
        sa.Column("characteristics", types.Json(), nullable=False),
        sa.Column("attack_patterns", types.Json(), nullable=False),
        sa.Column("difficulty", sa.Integer(), nullable=False),
        sa.Column("is_active", types.Flag(), nullable=False),
        sa.Column("scenario", types.Json(), nullable=True),
        sa.Column("metadata", types.Json(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("workflow_id", "id"),
    )
    op.create_table(
        "workflows",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("config", types.Json(), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("stopped_by", sa.Text(), nullable=True),
        sa.Column("request", types.Json(), nullable=False),
        sa.Column("random_state", types.Json(), nullable=False),
        sa.Column("metrics", types.Json(), nullable=False),
        sa.Column("result", types.Json(), nullable=True),
        sa.Column("error", types.Json(), nullable=True),
        sa.Column("simulated", types.Flag(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("flow_run_id", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("heartbeat_at", types.Timestamp(), nullable=True),
        sa.Column("cancel_requested_at", types.Timestamp(), nullable=True),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("started_at", types.Timestamp(), nullable=True),
        sa.Column("finished_at", types.Timestamp(), nullable=True),
        sa.ForeignKeyConstraint(
            ["workflow_id"],
            ["workflows.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("kind", "idempotency_key", name="uq_runs_idempotency"),
    )
    op.create_index("idx_runs_kind_status", "runs", ["kind", "status"], unique=False)
    op.create_index("idx_runs_workflow", "runs", ["workflow_id", "created_at"], unique=False)
    op.create_table(
        "candidates",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text(), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("origin", types.SafeText(), nullable=False),
        sa.Column("prompts", types.Json(), nullable=False),
        sa.Column("decision", types.Json(), nullable=True),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["runs.id"],
        ),
        sa.PrimaryKeyConstraint("run_id", "id"),
    )
    op.create_table(
        "case_results",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("repeat", sa.Integer(), nullable=False),
        sa.Column("case_index", sa.Integer(), nullable=False),
        sa.Column("split", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("inputs", types.Json(), nullable=True),
        sa.Column("expected_output", types.Json(), nullable=True),
        sa.Column("output", types.Json(), nullable=True),
        sa.Column("evaluations", types.Json(), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("error", types.Json(), nullable=True),
        sa.Column("duration_ms", sa.Float(), nullable=False),
        sa.Column("cost_pico", sa.BigInteger(), nullable=False),
        sa.Column("model_calls", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["runs.id"],
        ),
        sa.PrimaryKeyConstraint("run_id", "candidate_id", "case_id", "repeat"),
    )
    op.create_table(
        "events",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("payload", types.Json(), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["runs.id"],
        ),
        sa.PrimaryKeyConstraint("run_id", "seq"),
        sa.UniqueConstraint("run_id", "key", name="uq_events_key"),
    )
    op.create_table(
        "llm_calls",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("budgets", types.Json(), nullable=False),
        sa.Column("reserved_pico", sa.BigInteger(), nullable=False),
        sa.Column("cost_pico", sa.BigInteger(), nullable=False),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("cached_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("simulated", types.Flag(), nullable=False),
        sa.Column("error", types.SafeText(), nullable=True),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("settled_at", types.Timestamp(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["runs.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "idx_llm_calls_reserved",
        "llm_calls",
        ["run_id"],
        unique=False,
        sqlite_where=sa.text("status = 'reserved'"),
        postgresql_where=sa.text("status = 'reserved'"),
    )
    op.create_index("idx_llm_calls_run", "llm_calls", ["run_id", "subject"], unique=False)
    op.create_table(
        "run_steps",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("result", types.Json(), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["runs.id"],
        ),
        sa.PrimaryKeyConstraint("run_id", "key"),
    )
    op.create_table(
        "sandbox_battles",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("persona_id", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.Column("spoiled", types.Flag(), nullable=False),
        sa.Column("simulated", types.Flag(), nullable=False),
        sa.Column("agent_version", sa.Text(), nullable=False),
        sa.Column("cost_pico", sa.BigInteger(), nullable=False),
        sa.Column("setting", types.Json(), nullable=False),
        sa.Column("record", types.Json(), nullable=False),
        sa.Column("scouted_at", types.Timestamp(), nullable=True),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("finished_at", types.Timestamp(), nullable=True),
        sa.ForeignKeyConstraint(
            ["batch_id"],
            ["runs.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("idx_battles_batch", "sandbox_battles", ["batch_id", "ordinal"], unique=False)
    op.create_index(
        "idx_battles_persona",
        "sandbox_battles",
        ["workflow_id", "persona_id", "created_at"],
        unique=False,
    )
    op.create_table(
        "battle_turns",
        sa.Column("battle_id", sa.Text(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("speaker", sa.Text(), nullable=False),
        sa.Column("text", types.SafeText(), nullable=False),
        sa.Column("facts", types.Json(), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["battle_id"],
            ["sandbox_battles.id"],
        ),
        sa.PrimaryKeyConstraint("battle_id", "index"),
    )
    op.create_table(
        "breakthroughs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("battle_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("record", types.Json(), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("updated_at", types.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["battle_id"],
            ["sandbox_battles.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("battle_id"),
    )
    op.create_index(
        "idx_breakthroughs_state", "breakthroughs", ["workflow_id", "state"], unique=False
    )


def downgrade() -> None:
    op.drop_table("breakthroughs")
    op.drop_table("battle_turns")
    op.drop_table("sandbox_battles")
    op.drop_table("run_steps")
    op.drop_table("llm_calls")
    op.drop_table("events")
    op.drop_table("case_results")
    op.drop_table("candidates")
    op.drop_table("runs")
    op.drop_table("workflows")
    op.drop_table("sandbox_personas")
    op.drop_table("response_cache")
    op.drop_table("ratings")
    op.drop_table("notifications")
    op.drop_table("leases")
    op.drop_table("kill_switch")
    op.drop_table("budgets")
    op.drop_table("best_moves")
    # The checkpoint table was there before us and holds its users' prompts: it stays.
    op.drop_index("uq_agentensor_checkpoints_version", "agentensor_checkpoints")
    op.drop_index("uq_agentensor_checkpoints_one_best", "agentensor_checkpoints")
