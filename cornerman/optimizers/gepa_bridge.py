"""A synchronous search in a thread, advanced one iteration per round of the training loop.

The thread never touches the lab. It asks, and the round that is being awaited does what it asks,
in the flow's own task: so cancellation, budgets and errors work as everywhere else, and nothing
that the searched-through library swallows can be lost.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any


class SearchEndedError(BaseException):
    """Ends the thread. Not an Exception, since the library goes on after those."""


@dataclass
class _Request:
    work: Callable[[], Awaitable[Any]]
    reply: Future[Any] = field(default_factory=Future[Any])


@dataclass(frozen=True)
class _Paused:
    """The search has ended an iteration."""


@dataclass(frozen=True)
class _Ended:
    error: BaseException | None


class SteppedThread:
    """Runs `search(self)` in a daemon thread, one iteration for each `step`.

    Args:
        search: Calls `ask` for whatever needs the lab, and `pause` where an iteration begins.
        survivable: Errors of asked work that the search may go on after.
    """

    def __init__(
        self, search: Callable[[SteppedThread], None], survivable: tuple[type[Exception], ...]
    ) -> None:
        self._search = search
        self._survivable = survivable
        self._loop = asyncio.get_running_loop()
        self._inbox: asyncio.Queue[_Request | _Paused | _Ended] = asyncio.Queue()
        self._go_on = threading.Semaphore(0)
        self._closed = threading.Event()
        # The flow's context goes along: what the thread schedules belongs to the flow's run.
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._run,), name="cornerman-search", daemon=True
        )
        self._is_started = False

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    # -- in the event loop

    async def step(self) -> None:
        """Let the search run one iteration, doing what it asks for meanwhile.

        Raises:
            Exception: Whatever the asked work or the search itself raised; the thread has ended.
        """
        if self._is_started:
            self._go_on.release()
        else:
            self._is_started = True
            self._thread.start()
        try:
            while not isinstance(message := await self._inbox.get(), _Paused):
                if isinstance(message, _Ended):
                    raise message.error or RuntimeError("the search ended by itself")
                await self._serve(message)
        except BaseException:
            self.close()
            raise

    async def _serve(self, request: _Request) -> None:
        try:
            result = await request.work()
        except self._survivable as error:
            request.reply.set_exception(error)
        except BaseException:
            request.reply.set_exception(SearchEndedError())
            raise
        else:
            request.reply.set_result(result)

    def close(self) -> None:
        """End the thread at its next question or pause; from any thread, any number of times."""
        self._closed.set()
        self._go_on.release()

    # -- in the thread

    def ask(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Have the round await `work()` and return its result."""
        if self._closed.is_set():
            raise SearchEndedError
        request = _Request(work)
        self._post(request)
        return request.reply.result()

    def pause(self) -> None:
        """Tell that an iteration is over and wait for the next round."""
        self._post(_Paused())
        self._go_on.acquire()
        if self._closed.is_set():
            raise SearchEndedError

    def _post(self, message: _Request | _Paused | _Ended) -> None:
        try:
            self._loop.call_soon_threadsafe(self._inbox.put_nowait, message)
        except RuntimeError:
            # The loop is closed: nobody is left who could answer.
            raise SearchEndedError from None

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            self._search(self)
        except SearchEndedError:
            return
        except Exception as found:  # noqa: BLE001 - raised again by the round
            error = found
        if not self._closed.is_set():
            self._post(_Ended(error))
