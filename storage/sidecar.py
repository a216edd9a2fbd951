"""A database of its own for Prefect, beside Cornerman's on the same PostgreSQL server."""

from __future__ import annotations

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

_SUFFIX = "_prefect"


def prefect_database(url: str) -> str | None:
    """Make sure that `DATABASE_prefect` is there; returns its address in Prefect's form.

    Args:
        url: Cornerman's address, `postgresql+psycopg://…`.

    Returns:
        None when the user may not create databases.
    """
    own = make_url(url)
    name = f"{own.database}{_SUFFIX}"
    engine = create_engine(own, isolation_level="AUTOCOMMIT", hide_parameters=True)
    try:
        with engine.connect() as connection:
            there = text("SELECT 1 FROM pg_database WHERE datname = :name")
            if connection.execute(there, {"name": name}).first() is None:
                quoted = engine.dialect.identifier_preparer.quote(name)
                connection.execute(text(f"CREATE DATABASE {quoted}"))
    except DBAPIError:
        return None
    finally:
        engine.dispose()
    query = dict(own.query)
    # asyncpg's own name for it.
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    prefect = own.set(drivername="postgresql+asyncpg", database=name, query=query)
    return prefect.render_as_string(hide_password=False)
