"""Which database errors pass by themselves, and how one is told without its secrets.

How connections are made: what each database needs to be told before it is used.

A database of its own for Prefect, beside Cornerman's on the same PostgreSQL server.
"""

from __future__ import annotations

import json
import sqlite3
import time
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError

from cornerman.domain.errors import StorageError

# SQLSTATE classes: lost connections, deadlocks, too few resources, a server that stops or starts.
_PASSING_STATES = ("08", "40", "53", "57P", "55P03")
_PASSING_SQLITE = ("SQLITE_BUSY", "SQLITE_LOCKED")


def is_passing(error: DBAPIError) -> bool:
    """Whether the same transaction may go well a moment later."""
    if error.connection_invalidated:
        return True
    cause = error.orig
    if name := getattr(cause, "sqlite_errorname", None):
        return str(name).startswith(_PASSING_SQLITE)
    if state := getattr(cause, "sqlstate", None):
        return str(state).startswith(_PASSING_STATES)
    # psycopg has no state to give for a server that does not answer.
    return isinstance(error, OperationalError) and hasattr(cause, "sqlstate")


def unusable(engine: Engine, error: Exception, *, what: str = "cannot be reached") -> StorageError:
    """An error that names the database without its password.

    Args:
        what: What went wrong with it, as the sentence's predicate.
    """
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    # A password may stand among the options too.
    address = engine.url.set(query={}).render_as_string(hide_password=True)
    return StorageError(
        f"The database {address} {what}: {lines[0] if lines else type(error).__name__}",
        hint="Check its address and that it runs: cornerman doctor",
    )


_BUSY_TIMEOUT_MS = 30_000
_WAL_PAUSE_SECONDS = 0.02
_POSTGRESQL_CONNECT_SECONDS = 10


def make_engine(url: str) -> Engine:
    """Create the engine for a SQLite or PostgreSQL address.

    Raises:
        StorageError: The SQLite file's folder cannot be made.
    """
    parsed = make_url(url)
    # Parameters are prompts and answers: they have no place in an error's text.
    if parsed.get_backend_name() == "sqlite":
        _make_folder(parsed)
        engine = create_engine(
            parsed, connect_args={"check_same_thread": False}, hide_parameters=True
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    waiting = {"connect_timeout": parsed.query.get("connect_timeout", _POSTGRESQL_CONNECT_SECONDS)}
    return create_engine(
        parsed,
        connect_args=waiting,
        hide_parameters=True,
        json_serializer=partial(json.dumps, ensure_ascii=False),
        pool_pre_ping=True,
        pool_size=6,
        max_overflow=4,
    )


def _make_folder(url: URL) -> None:
    if not url.database:
        return
    try:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"The folder of the database {url.database!r} cannot be made: {error}",
            hint="Set CORNERMAN_HOME to a folder you may write to.",
        ) from error


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver must not begin transactions of its own: BEGIN is ours, below.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
    _use_wal(connection)
    # A pulled plug must not undo a commit.
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _use_wal(connection: Any) -> None:
    """Switch the file to WAL; the first processes of a new file may do so at the same moment."""
    give_up = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            # This one statement is refused at once, whatever busy_timeout says.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(_WAL_PAUSE_SECONDS)


def _begin_sqlite(connection: Connection) -> None:
    writer = connection.get_execution_options().get("cornerman_writer", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")


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
