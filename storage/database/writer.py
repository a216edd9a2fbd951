"""The one thread that writes: functions that wait at the same moment share a transaction.

A busy epoch costs a few commits a second (group commit). One function's error undoes nothing of
the others': where one fails, the transaction is undone and run again with a savepoint for each.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from cornerman.domain.errors import StorageError
from cornerman.storage.database.connect import is_passing

log = logging.getLogger(__name__)

_MOST_PER_COMMIT = 64
# A PostgreSQL that is restarted is back within seconds; what was paid for is worth the wait.
_GIVE_UP_SECONDS = 30.0
_LONGEST_PAUSE_SECONDS = 2.0

Result = tuple[Any, BaseException | None]


@dataclass
class _Write:
    """One waiting writer function."""

    run: Callable[[Session], Any]
    future: Future[Any] = field(default_factory=Future[Any])


class Writer:
    """Runs functions in the writer transaction, in the order in which they were given.

    Args:
        transaction: Opens the writer transaction; commits at its end.
        unusable: Makes the error that callers get when the database was away for too long.
    """

    def __init__(
        self,
        transaction: Callable[[], AbstractContextManager[Connection]],
        unusable: Callable[[DBAPIError], StorageError],
    ) -> None:
        self._transaction = transaction
        self._unusable = unusable
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, run: Callable[[Session], Any]) -> Future[Any]:
        """Queue a function; the future is done when it is committed.

        Raises:
            StorageError: The writer is closed.
        """
        with self._lock:
            if self._closed:
                raise StorageError("The database is closed.")
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._write_forever, name="cornerman-write", daemon=True
                )
                self._thread.start()
            write = _Write(run)
            self._queue.put(write)
        return write.future

    def close(self) -> None:
        """Finish what is queued, then end the thread. Idempotent."""
        with self._lock:
            if not self._closed and self._thread is not None:
                self._queue.put(None)
            self._closed = True
        if self._thread is not None:
            self._thread.join()

    def _write_forever(self) -> None:
        more = True
        while more:
            batch, more = self._next_batch()
            if batch:
                _tell(batch, self._commit(batch))

    def _next_batch(self) -> tuple[list[_Write], bool]:
        """Wait for a write and take what waits behind it; False when no more will come."""
        batch = list[_Write]()
        write = self._queue.get()
        while write is not None:
            batch.append(write)
            if len(batch) == _MOST_PER_COMMIT:
                return batch, True
            try:
                write = self._queue.get_nowait()
            except queue.Empty:
                return batch, True
        return batch, False

    def _commit(self, batch: list[_Write]) -> list[Result]:
        """Run a batch in one transaction, again while the database is away for a moment."""
        give_up, pause = time.monotonic() + _GIVE_UP_SECONDS, 0.05
        while True:
            try:
                return self._run(batch)
            except DBAPIError as error:
                if not is_passing(error):
                    return [(None, error)] * len(batch)
                if time.monotonic() + pause > give_up:
                    return [(None, self._unusable(error))] * len(batch)
                log.warning("Writing is tried again in %.2f s: %s", pause, error.orig)
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            except BaseException as error:  # noqa: BLE001 - every waiting caller must be told
                return [(None, error)] * len(batch)

    def _run(self, batch: list[_Write]) -> list[Result]:
        try:
            # Nearly always all go well, and savepoints are a third of all statements.
            return self._run_together(batch)
        except Exception as error:
            if len(batch) == 1 or (isinstance(error, DBAPIError) and is_passing(error)):
                raise
        with self._transaction() as connection, Session(connection) as session:
            return [_run_in_savepoint(session, write.run) for write in batch]

    def _run_together(self, batch: list[_Write]) -> list[Result]:
        with self._transaction() as connection, Session(connection) as session:
            results: list[Result] = [(write.run(session), None) for write in batch]
            session.flush()
            return results


def _run_in_savepoint(session: Session, run: Callable[[Session], Any]) -> Result:
    savepoint = session.begin_nested()
    try:
        value = run(session)
        savepoint.commit()
    except Exception as error:
        if isinstance(error, DBAPIError) and is_passing(error):
            raise  # the whole batch is tried again
        savepoint.rollback()
        return None, error
    return value, None


def _tell(batch: list[_Write], results: list[Result]) -> None:
    for write, (value, error) in zip(batch, results, strict=True):
        # A caller that was cancelled has cancelled its future too; its write stands.
        if not write.future.set_running_or_notify_cancel():
            continue
        if error is None:
            write.future.set_result(value)
        else:
            write.future.set_exception(error)
