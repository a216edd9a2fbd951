"""What Dask calls in a worker's process.

`run_case_here` is called in one of Dask's threads for each case. The cases of a process share one
event loop beside those threads, since a model client belongs to its loop. See design/dask.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from functools import cache

from cornerman.domain.errors import CornermanError
from cornerman.flows.plumbing.dask_run import RunHere, RunTicket
from cornerman.tasks.case_progress import CaseJob


def run_case_here(ticket: RunTicket, job: CaseJob) -> CornermanError | None:
    """Run one case and store it, unless a worker that died had done so.

    Returns:
        None: the case is stored, whether it was scored, timed out or errored. Otherwise what
        ends the run.
    """
    process = _process()
    return asyncio.run_coroutine_threadsafe(process.run_case(ticket, job), process.loop).result()


async def end_run_here(run_id: str) -> None:
    """End what the run has in flight in this process, and let go of all that it holds."""
    process = _process()
    await asyncio.wrap_future(
        asyncio.run_coroutine_threadsafe(process.end_run(run_id), process.loop)
    )


class _Process:
    """The event loop of this process's cases, and the runs that are open on it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._runs: dict[str, asyncio.Task[RunHere]] = {}
        threading.Thread(target=self.loop.run_forever, name="cornerman-cases", daemon=True).start()

    async def run_case(self, ticket: RunTicket, job: CaseJob) -> CornermanError | None:
        try:
            run = await asyncio.shield(self._opened(ticket))
            return await run.case(job)
        except CornermanError as error:
            return error

    def _opened(self, ticket: RunTicket) -> asyncio.Task[RunHere]:
        """The run in this process, opened by the first case that needs it."""
        opening = self._runs.get(ticket.run_id)
        if opening is None or not _serves(opening, ticket):
            opening = self._runs[ticket.run_id] = self.loop.create_task(RunHere.open(ticket))
        return opening

    async def end_run(self, run_id: str) -> None:
        opening = self._runs.pop(run_id, None)
        if opening is not None:
            # Whoever waits for it has heard why it could not be opened.
            with contextlib.suppress(CornermanError):
                await (await opening).end()


def _serves(opening: asyncio.Task[RunHere], ticket: RunTicket) -> bool:
    """Whether an open run, or one that is being opened, is the one that a case needs."""
    if not opening.done():
        return True
    if opening.cancelled() or opening.exception() is not None:
        return False
    return opening.result().serves(ticket)


@cache
def _process() -> _Process:
    return _Process()
