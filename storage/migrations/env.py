"""Alembic's environment: runs the history on the connection that `migrate` opened."""

from __future__ import annotations

from alembic import context

from cornerman.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=context.config.attributes["version_table"],
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
