"""Watching a run while it works in the same process, by reading its events as they are written."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, Protocol, TypeVar

from cornerman.domain.errors import NotFoundError
from cornerman.storage import events, ledger, runs
from cornerman.storage.engine import Database

T = TypeVar("T")

_LOOK_SECONDS = 0.3
_PAGE = 500


class View(Protocol):
    """Shows a run's progress."""

    def event(self, name: str, payload: dict[str, Any]) -> None:
        """Take in one event, in order."""
        ...

    def cost(self, usd: float) -> None:
        """Take in what the run has cost so far."""
        ...


async def follow(db: Database, run_id: str, view: View, work: Coroutine[Any, Any, T]) -> T:
    """Await `work`, showing the run's progress meanwhile; Ctrl-C cancels the run in good order.

    Raises:
        asyncio.CancelledError: Ctrl-C came before the run was stored, or came twice.
    """
    task = asyncio.ensure_future(work)
    last = 0
    async with _cancel_on_ctrl_c(db, run_id, task):
        while True:
            ended = task.done()
            last = await _show_new(db, run_id, view, last)
            if ended:
                return task.result()
            await asyncio.wait({task}, timeout=_LOOK_SECONDS)


async def _show_new(db: Database, run_id: str, view: View, last: int) -> int:
    while True:
        page = await db.read(events.read_events, run_id, after=last, limit=_PAGE)
        for event in page:
            view.event(event.event, event.payload)
            last = event.seq
        if len(page) < _PAGE:
            break
    view.cost(await db.read(ledger.read_run_cost_pico, run_id) / 10**12)
    return last


@contextlib.asynccontextmanager
async def _cancel_on_ctrl_c(
    db: Database, run_id: str, task: asyncio.Future[Any]
) -> AsyncGenerator[None]:
    """The first Ctrl-C asks the run to end, as `cornerman runs cancel` does; the second insists."""
    loop = asyncio.get_running_loop()
    asked: list[asyncio.Task[None]] = []

    async def ask() -> None:
        try:
            await db.write(runs.request_cancel, run_id)
        except NotFoundError:
            # Nothing was stored yet, so there is nothing to leave in good order.
            task.cancel()

    def on_ctrl_c() -> None:
        if asked:
            task.cancel()
        else:
            asked.append(loop.create_task(ask()))

    loop.add_signal_handler(signal.SIGINT, on_ctrl_c)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=5)
