"""How connections are made: what each database needs to be told before it is used."""

from __future__ import annotations

import json
import sqlite3
import time
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url

from cornerman.domain.errors import StorageError

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
