"""How long answers of models that think had to be allowed to be, kept from run to run."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from cornerman.storage.database.types import now, upsert
from cornerman.storage.tables import output_limits


def read_output_limits(session: Session, endpoint: str) -> dict[str, int]:
    """Tokens by model; models that never lacked room are not in it."""
    query = select(output_limits.c.model, output_limits.c.max_tokens).where(
        output_limits.c.endpoint == endpoint
    )
    return {row.model: row.max_tokens for row in session.execute(query)}


def read_output_limit(session: Session, endpoint: str, model: str) -> int:
    """Tokens; 0 where nothing is known."""
    return read_output_limits(session, endpoint).get(model, 0)


def raise_output_limit(session: Session, endpoint: str, model: str, tokens: int) -> None:
    """Keep a limit; of two the larger one stands."""
    values = {"endpoint": endpoint, "model": model, "max_tokens": tokens, "updated_at": now()}
    statement = upsert(session.get_bind().dialect.name, output_limits).values(values)
    statement = statement.on_conflict_do_update(
        index_elements=[output_limits.c.endpoint, output_limits.c.model],
        set_={"max_tokens": tokens, "updated_at": values["updated_at"]},
        where=output_limits.c.max_tokens < tokens,
    )
    session.execute(statement)
