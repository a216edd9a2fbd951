"""The database: one writer transaction at a time, readers beside it, no call in an event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar, cast

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from cornerman.storage.database.connect import is_passing, make_engine, unusable
from cornerman.storage.database.writer import Writer

__all__ = ["Database", "make_engine"]

P = ParamSpec("P")
T = TypeVar("T")

_WRITER_LOCK_KEY = 0x436F726E  # "Corn": the advisory lock of Cornerman's writers


class Database:
    """One database, for the whole life of a process.

    Args:
        url: SQLAlchemy address, `sqlite:///…` or `postgresql+psycopg://…`.
    """

    def __init__(self, url: str) -> None:
        self.engine = make_engine(url)
        self.dialect = self.engine.dialect.name
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="cornerman-read")
        self._writer = Writer(self.write_transaction, lambda error: unusable(self.engine, error))

    # -- synchronous use: command line, migrations, tests

    @contextlib.contextmanager
    def write_transaction(self) -> Generator[Connection]:
        """Open the writer transaction; commits at the end, rolls back on an error."""
        with self.engine.connect() as plain:
            connection = plain.execution_options(cornerman_writer=True)
            with connection.begin():
                self._take_writer_lock(connection)
                yield connection

    @contextlib.contextmanager
    def writing(self) -> Generator[Session]:
        """Open a Session in the writer transaction; commits at the end, rolls back on an error.

        Raises:
            StorageError: The database cannot be used.
        """
        with (
            self._telling(),
            self.write_transaction() as connection,
            Session(connection) as session,
        ):
            yield session
            session.flush()

    @contextlib.contextmanager
    def reading(self) -> Generator[Session]:
        """Open a Session whose changes are thrown away.

        Raises:
            StorageError: The database cannot be used.
        """
        with self._telling(), self._throwaway() as session:
            yield session

    @contextlib.contextmanager
    def _throwaway(self) -> Generator[Session]:
        with self.engine.connect() as connection, Session(connection) as session:
            yield session

    @contextlib.contextmanager
    def _telling(self) -> Generator[None]:
        """Say in the user's words that the database is away, locked or full."""
        try:
            yield
        except DBAPIError as error:
            if is_passing(error):
                raise unusable(self.engine, error) from error
            raise

    # -- asynchronous use: flows and the gateway

    async def write(
        self, function: Callable[Concatenate[Session, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `function(session, …)` in the writer thread and return when it is committed.

        A cancelled caller does not undo the write: it is finished either way. A function may be
        run again when the commit it shared failed, so it must touch nothing but the session.

        Raises:
            StorageError: The database could not be used for too long, or is closed.
        """
        future = self._writer.submit(lambda session: function(session, *args, **kwargs))
        return cast(T, await asyncio.wrap_future(future))

    async def read(
        self, function: Callable[Concatenate[Session, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `function(session, …)` in a reader thread.

        Raises:
            StorageError: The database cannot be used.
        """

        def run() -> T:
            with self._throwaway() as session:
                return function(session, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._readers, self._twice, run)

    def _twice(self, run: Callable[[], T]) -> T:
        """Run a read, and once more when its connection was lost in the middle."""
        try:
            return run()
        except DBAPIError as error:
            if not is_passing(error):
                raise
        with self._telling():
            return run()

    def close(self) -> None:
        """Finish waiting writes, then let go of threads and connections."""
        self._writer.close()
        self._readers.shutdown(wait=True)
        self.engine.dispose()

    def _take_writer_lock(self, connection: Connection) -> None:
        """Hold off other writers until the transaction ends; on SQLite BEGIN IMMEDIATE did."""
        # PostgreSQL has many writers; Cornerman has one, as on SQLite, so that counters without
        # gaps and budgets need no cleverness. Held for milliseconds, released by the commit.
        if self.dialect == "postgresql":
            connection.execute(_TAKE_LOCK, {"key": _WRITER_LOCK_KEY})


_TAKE_LOCK = text("SELECT pg_advisory_xact_lock(:key)")
