"""Working on a run: claim it, keep its heart beating, and end it the moment somebody asks.

Whoever cancels, and the kill-switch, only write to the database; the process that works on the
run looks there twice a second. So it makes no difference on which machine either of them is.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

from cornerman.domain.errors import RunCancelledError
from cornerman.domain.runs import HEARTBEAT_SECONDS, KillSwitch, Run
from storage import kill_switch, ledger, runs
from storage.engine import Database

T = TypeVar("T")

_LOOK_SECONDS = 0.4
_LONGEST_CANCEL_SECONDS = 1.5


def process_owner() -> str:
    """A name for this process's work, unique over machines and restarts."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


class RunSession:
    """One process's hold on a run. Made by `run_session`."""

    def __init__(self, db: Database, run: Run, owner: str) -> None:
        self.db = db
        self.run = run
        self.owner = owner
        self.cancelled: RunCancelledError | None = None
        self._on_kill_switch: Callable[[str], None] | None = None
        self._cancel_now = asyncio.Event()

    def on_kill_switch(self, tell: Callable[[str], None]) -> None:
        """Call `tell(reason)` once the kill-switch is on, within a second of it."""
        self._on_kill_switch = tell

    def cancel(self, why: str) -> None:
        """End the guarded work."""
        if self.cancelled is None:
            self.cancelled = RunCancelledError(
                f"Run {self.run.id} was cancelled: {why}.",
                hint=f"Continue it with: cornerman train --resume {self.run.id}"
                if self.run.kind == "train"
                else "",
            )
        self._cancel_now.set()

    async def guard(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work`; when the run is cancelled, cancel it and whatever it has in flight.

        Raises:
            RunCancelledError: The run was cancelled.
        """
        task = asyncio.ensure_future(work)
        waiter = asyncio.ensure_future(self._cancel_now.wait())
        try:
            await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=_LONGEST_CANCEL_SECONDS)
        finally:
            waiter.cancel()
            if not task.done():
                task.cancel()
        if self.cancelled is not None and (not task.done() or task.cancelled()):
            raise self.cancelled
        return task.result()

    async def watch(self) -> None:
        """Bump the heartbeat and look for a cancel request and the kill-switch, for ever."""
        beat_due = 0.0
        while True:
            if time.monotonic() >= beat_due:
                beat_due = time.monotonic() + HEARTBEAT_SECONDS
                await self.db.write(runs.update_heartbeat, self.run.id, self.owner)
            run, switch = await self.db.read(_look, self.run.id)
            if run is not None and run.cancel_requested_at is not None:
                self.cancel("somebody asked for it")
            if run is not None and run.owner != self.owner:
                self.cancel(f"{run.owner or 'nobody'} works on it now")
            if switch.active and self._on_kill_switch is not None:
                self._on_kill_switch(switch.reason)
            await asyncio.sleep(_LOOK_SECONDS)


def _look(session: Any, run_id: str) -> tuple[Run | None, KillSwitch]:
    return runs.read_run(session, run_id), kill_switch.read_kill_switch(session)


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
    run = await db.write(runs.claim_run, run_id, owner, flow_run_id=flow_run_id)
    await db.write(ledger.settle_run_calls, run_id)
    session = RunSession(db, run, owner)
    watcher = asyncio.create_task(session.watch(), name=f"watch-{run_id}")
    with _cancel_on_sigterm(session):
        try:
            yield session
        finally:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher


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
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, before)
