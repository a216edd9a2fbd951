"""What each model call said, answers kept for cases that are resumed, and how answers ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import cornerman.storage.database.types as types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "call_traces",
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("content", types.Json(), nullable=False),
        sa.Column("replay", types.Json()),
        sa.Column("has_replay", types.Flag(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
        sa.PrimaryKeyConstraint("call_id"),
    )
    op.add_column("case_results", sa.Column("finish_reason", sa.Text(), nullable=True))
    op.create_index("idx_call_traces_subject", "call_traces", ["run_id", "subject", "seq"])


def downgrade() -> None:
    op.drop_table("call_traces")
    op.drop_column("case_results", "finish_reason")
