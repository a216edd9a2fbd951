"""The database: one writer transaction at a time, readers beside it, no call in an event loop.

Writers are functions on a Session. Those that wait at the same moment share one transaction
(group commit), each in a savepoint of its own, so that a busy epoch costs a few commits a second
and one function's error undoes nothing of the others'.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from cornerman.domain.errors import StorageError

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

_WRITER_LOCK_KEY = 0x436F726E  # "Corn": the advisory lock of Cornerman's writers
_BUSY_TIMEOUT_MS = 30_000
_MOST_PER_COMMIT = 64
_COMMIT_TRIES = 6


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        # The driver must not begin transactions of its own: BEGIN is ours, below.
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout={_BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",  # a pulled plug must not undo a commit
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:  # pyright: ignore[reportUnusedFunction]
        writer = connection.get_execution_options().get("cornerman_writer", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")


def make_engine(url: str) -> Engine:
    """Create the engine for a SQLite or PostgreSQL address.

    Raises:
        StorageError: The SQLite file's folder cannot be made.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if parsed.database:
            try:
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(
                    f"The folder of the database {parsed.database!r} cannot be made: {error}",
                    hint="Set CORNERMAN_HOME to a folder you may write to.",
                ) from error
        engine = create_engine(parsed, connect_args={"check_same_thread": False})
        _prepare_sqlite(engine)
        return engine
    return create_engine(parsed, pool_pre_ping=True, pool_size=6, max_overflow=4)


@dataclass
class _Write:
    """One waiting writer function."""

    run: Callable[[Session], Any]
    future: Future[Any] = field(default_factory=Future[Any])


class Database:
    """One database, for the whole life of a process.

    Args:
        url: SQLAlchemy address, `sqlite:///…` or `postgresql+psycopg://…`.
    """

    def __init__(self, url: str) -> None:
        self.engine = make_engine(url)
        self.dialect = self.engine.dialect.name
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="cornerman-read")
        self._writer: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False

    # -- synchronous use: command line, migrations, tests

    @contextlib.contextmanager
    def writing(self) -> Generator[Session]:
        """Open the writer transaction; commits at the end, rolls back on an error."""
        with self.engine.connect() as plain:
            connection = plain.execution_options(cornerman_writer=True)
            with connection.begin():
                self.take_writer_lock(connection)
                with Session(connection, join_transaction_mode="create_savepoint") as session:
                    yield session
                    session.commit()

    @contextlib.contextmanager
    def reading(self) -> Generator[Session]:
        """Open a Session whose changes are thrown away."""
        with self.engine.connect() as connection, Session(connection) as session:
            yield session

    # -- asynchronous use: flows and the gateway

    async def write(
        self, function: Callable[Concatenate[Session, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `function(session, …)` in the writer thread and return when it is committed.

        A cancelled caller does not undo the write: it is finished either way. A function may be
        run again when the commit it shared failed, so it must touch nothing but the session.
        """
        future = self._submit(lambda session: function(session, *args, **kwargs))
        return cast(T, await asyncio.wrap_future(future))

    async def read(
        self, function: Callable[Concatenate[Session, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `function(session, …)` in a reader thread."""

        def run() -> T:
            with self.reading() as session:
                return function(session, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    def close(self) -> None:
        """Finish waiting writes, then let go of threads and connections."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            writer = self._writer
        if writer is not None:
            self._queue.put(None)
            writer.join()
        self._readers.shutdown(wait=True)
        self.engine.dispose()

    # -- the writer thread

    def _submit(self, run: Callable[[Session], Any]) -> Future[Any]:
        with self._lock:
            if self._closed:
                raise StorageError("The database is closed.")
            if self._writer is None:
                self._writer = threading.Thread(
                    target=self._write_forever, name="cornerman-write", daemon=True
                )
                self._writer.start()
            write = _Write(run)
            self._queue.put(write)
        return write.future

    def _write_forever(self) -> None:
        stop = False
        while not stop:
            first = self._queue.get()
            if first is None:
                return
            batch = [first]
            with contextlib.suppress(queue.Empty):
                while len(batch) < _MOST_PER_COMMIT:
                    more = self._queue.get_nowait()
                    if more is None:
                        stop = True
                        break
                    batch.append(more)
            self._commit_together(batch)

    def _commit_together(self, batch: list[_Write]) -> None:
        results: list[tuple[Any, BaseException | None]] = []
        for tried in range(1, _COMMIT_TRIES + 1):
            try:
                results = self._run_batch(batch)
                break
            except DBAPIError as error:
                # A lost connection or a writer of another process that held on too long.
                passing = isinstance(error, OperationalError) or error.connection_invalidated
                if not passing or tried == _COMMIT_TRIES:
                    results = [(None, error)] * len(batch)
                    break
                log.warning("Writing is tried again (%d of %d): %s", tried, _COMMIT_TRIES, error)
                time.sleep(0.05 * 2**tried)
            except BaseException as error:  # noqa: BLE001 - every waiting caller must be told
                results = [(None, error)] * len(batch)
                break
        for write, (value, error) in zip(batch, results, strict=True):
            # A caller that was cancelled has cancelled its future too; its write stands.
            if not write.future.set_running_or_notify_cancel():
                continue
            if error is None:
                write.future.set_result(value)
            else:
                write.future.set_exception(error)

    def _run_batch(self, batch: list[_Write]) -> list[tuple[Any, BaseException | None]]:
        results: list[tuple[Any, BaseException | None]] = []
        with self.engine.connect() as plain:
            connection = plain.execution_options(cornerman_writer=True)
            with connection.begin():
                self.take_writer_lock(connection)
                for write in batch:
                    results.append(_run_in_savepoint(connection, write.run))
        return results

    def take_writer_lock(self, connection: Connection) -> None:
        """Hold off other writers until the transaction ends; on SQLite BEGIN IMMEDIATE did."""
        # PostgreSQL has many writers; Cornerman has one, as on SQLite, so that counters without
        # gaps and budgets need no cleverness. Held for milliseconds, released by the commit.
        if self.dialect == "postgresql":
            connection.execute(
                text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITER_LOCK_KEY}
            )


def _run_in_savepoint(
    connection: Connection, run: Callable[[Session], Any]
) -> tuple[Any, BaseException | None]:
    with Session(connection, join_transaction_mode="create_savepoint") as session:
        try:
            value = run(session)
            session.commit()
            return value, None
        except OperationalError:
            raise  # the whole batch is tried again
        except Exception as error:  # noqa: BLE001 - handed to the caller, whose write it was
            session.rollback()
            return None, error
