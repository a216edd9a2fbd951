"""How long answers of models that think had to be allowed to be, by endpoint and model."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import cornerman.storage.database.types as types

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "output_limits",
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("max_tokens", sa.Integer(), nullable=False),
        sa.Column("updated_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint", "model"),
    )


def downgrade() -> None:
    op.drop_table("output_limits")
