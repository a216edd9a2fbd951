"""Working on a run: claim it, keep its heart beating, and end it the moment somebody asks.

Whoever cancels, and the kill-switch, only write to the database; the process that works on the
run looks there twice a second. So it makes no difference on which machine either of them is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

from cornerman.domain.aio import leave_threads_behind
from cornerman.domain.errors import ConflictError, RunCancelledError, StorageError
from cornerman.domain.runs import (
    CASE_KINDS,
    HEARTBEAT_SECONDS,
    NODES,
    KillSwitch,
    NewEvent,
    Run,
)
from cornerman.flows.plumbing.embedded import serves_alone
from cornerman.flows.plumbing.embedded_client import Trouble, troubles
from cornerman.flows.plumbing.processes import is_gone, process_owner
from cornerman.flows.plumbing.server_state import leave_cancelling, note_cancelled, watch_flow_run
from cornerman.flows.plumbing.signals import end_at_second
from cornerman.storage import budgets, events, ledger, runs
from cornerman.storage.database import Database

__all__ = ["RunSession", "process_owner", "run_session"]

T = TypeVar("T")

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.4
_LONGEST_CANCEL_SECONDS = 1.5


class RunSession:
    """One process's hold on a run. Made by `run_session`.

    Args:
        run: As it was before this process claimed it.
    """

    def __init__(self, db: Database, run: Run, owner: str, flow_run_id: str | None) -> None:
        self.db = db
        self.run = run
        self.owner = owner
        self.flow_run_id = flow_run_id
        self.cancelled: RunCancelledError | None = None
        self.lost: ConflictError | None = None
        self._on_kill_switch: Callable[[str], None] | None = None
        self._end_now = asyncio.Event()

    def on_kill_switch(self, tell: Callable[[str], None]) -> None:
        """Call `tell(reason)` once the kill-switch is on, within a second of it."""
        self._on_kill_switch = tell

    def cancel(self, why: str) -> None:
        """End the guarded work."""
        if self.cancelled is None:
            self.cancelled = RunCancelledError(
                f"Run {self.run.id} was cancelled: {why}.",
                hint=f"Continue it with: cornerman {self.run.kind} --resume {self.run.id}"
                if self.run.kind in CASE_KINDS
                else "",
            )
            if self.flow_run_id is not None:
                note_cancelled(self.flow_run_id)
        self._end_now.set()

    async def guard(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work`; when the run is cancelled, cancel it and whatever it has in flight.

        Raises:
            RunCancelledError: The run was cancelled.
            ConflictError: Another process has taken the run over; nothing more may be written.
        """
        task = asyncio.ensure_future(work)
        waiter = asyncio.ensure_future(self._end_now.wait())
        try:
            await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=_LONGEST_CANCEL_SECONDS)
        if task.done() and not task.cancelled() and task.exception() is None:
            return task.result()
        # What work raised because it was cancelled is no failure of its own.
        if self.lost is not None or self.cancelled is not None:
            raise self.lost or self.cancelled  # pyright: ignore[reportGeneralTypeIssues]
        return task.result()

    async def watch(self) -> None:
        """Bump the heartbeat and look for a cancel request and the kill-switch, for ever."""
        beat_due, told = 0.0, len(troubles)
        while True:
            try:
                for trouble in troubles[told:]:
                    await self.db.write(events.create_event, self.run.id, self._event(trouble))
                    told += 1
                if time.monotonic() >= beat_due:
                    await self.db.write(runs.update_heartbeat, self.run.id, self.owner)
                    beat_due = time.monotonic() + HEARTBEAT_SECONDS
                self._obey(*await self.db.read(look, self.run.id))
            except StorageError as error:
                # Its work will meet the same database and fail, or both find it back.
                log.warning("Run %s cannot be watched: %s", self.run.id, error)
            await asyncio.sleep(_LOOK_SECONDS)

    def _event(self, trouble: Trouble) -> NewEvent:
        """What the run's log says of a Prefect server that the run waits for."""
        payload = {"message": trouble.message}
        return NewEvent(
            NODES[self.run.kind], "prefect_back" if trouble.back else "prefect_away", payload
        )

    def _obey(self, signals: runs.RunSignals | None, switch: KillSwitch) -> None:
        if signals is not None and signals.owner != self.owner:
            self.lost = ConflictError(
                f"Run {self.run.id!r} was taken over by {signals.owner or 'nobody'}.",
                existing_id=self.run.id,
            )
            self._end_now.set()
        elif signals is not None and signals.cancel_requested_at is not None:
            self.cancel("somebody asked for it")
        if switch.active and self._on_kill_switch is not None:
            self._on_kill_switch(switch.reason)


def look(session: Any, run_id: str) -> tuple[runs.RunSignals | None, KillSwitch]:
    """What others tell whoever works on a run, and the kill-switch."""
    return runs.read_run_signals(session, run_id), budgets.read_kill_switch(session)


@contextlib.asynccontextmanager
async def run_session(
    db: Database, run_id: str, *, flow_run_id: str | None = None
) -> AsyncGenerator[RunSession]:
    """Claim a run, book what a dead process left in flight, and watch it until the end.

    Raises:
        ConflictError: A living process works on it.
        NotFoundError: There is no such run.
    """
    owner = process_owner()
    leave_threads_behind(asyncio.get_running_loop())
    before = await db.read(runs.read_run, run_id)
    claimed = await db.write(
        runs.claim_run, run_id, owner, flow_run_id=flow_run_id, is_gone=is_gone
    )
    await db.write(ledger.settle_run_calls, run_id)
    session = RunSession(db, before or claimed, owner, flow_run_id)
    watchers = [asyncio.create_task(session.watch(), name=f"watch-{run_id}")]
    # Nobody else knows the address of a server that serves this process alone.
    if flow_run_id is not None and not serves_alone():
        watching = watch_flow_run(flow_run_id, session.cancel)
        watchers.append(asyncio.create_task(watching, name=f"watch-prefect-{run_id}"))
    with _cancel_on_sigterm(session):
        try:
            yield session
        finally:
            for watcher in watchers:
                watcher.cancel()
            for ended in await asyncio.gather(*watchers, return_exceptions=True):
                if isinstance(ended, Exception):
                    log.error("Run %s was not watched to its end: %r", run_id, ended)
            if len(watchers) > 1 and flow_run_id is not None:
                await leave_cancelling(flow_run_id)


@contextlib.contextmanager
def _cancel_on_sigterm(session: RunSession) -> Any:
    """End the run in good order when a worker or a supervisor stops the process."""
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGTERM)
    try:
        loop.add_signal_handler(signal.SIGTERM, session.cancel, "the process was told to stop")
    except (ValueError, RuntimeError, NotImplementedError):
        # Not the main thread: whoever owns the process owns its signals.
        yield
        return
    at_interrupt = signal.getsignal(signal.SIGINT)
    for number in (signal.SIGTERM, signal.SIGINT):
        end_at_second(number)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, before)
        if session.cancelled is None and callable(at_interrupt):
            signal.signal(signal.SIGINT, at_interrupt)
