"""An event loop for a thread's synchronous code that is in truth its run's own loop.

Frameworks make a loop for each `run_sync`, and keep one client for all of them, whose connections
belong to the loop that opened them: in several threads at once that fails with "bound to a
different event loop". With a lent loop all of it happens on one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from concurrent.futures import Future
from typing import Any


class LentLoop(asyncio.AbstractEventLoop):
    """What synchronous code asks of a loop, done on another thread's."""

    def __init__(self, real: asyncio.AbstractEventLoop) -> None:
        self._real = real

    def run_until_complete(self, future: Any) -> Any:
        """Wait in this thread for work on the real loop."""
        if isinstance(future, LentTask):
            return future.future.result()
        return self._submit(future).result()

    def create_task(self, coro: Any, **_: Any) -> Any:
        """Begin work on the real loop."""
        return LentTask(self._submit(coro))

    def _submit(self, work: Any) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(_awaited(work), self._real)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return False

    def is_closed(self) -> bool:
        return self._real.is_closed()

    def close(self) -> None:
        """The real loop is not this thread's to close."""

    async def shutdown_asyncgens(self) -> None:
        """Nor its generators to end."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Nor its threads."""


class LentTask:
    """A task on the real loop, as far as a thread can see it."""

    def __init__(self, future: Future[Any]) -> None:
        self.future = future

    def done(self) -> bool:
        """Whether it has ended."""
        return self.future.done()

    def cancel(self, msg: Any = None) -> bool:
        """Ask it to end."""
        return self.future.cancel()

    def result(self) -> Any:
        """What it came to."""
        return self.future.result(0)

    def exception(self) -> BaseException | None:
        """What it raised."""
        return self.future.exception(0)


async def _awaited(work: Awaitable[Any] | Coroutine[Any, Any, Any]) -> Any:
    return await work
