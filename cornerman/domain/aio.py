"""Waiting for code that is not ours: with a deadline that holds, and off the event loop."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import ctypes
import inspect
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import thread as futures_threads
from typing import Any, NoReturn, TypeVar, cast

from cornerman.domain.lent_loop import LentLoop

T = TypeVar("T")

# How long a case that was told to stop may take to do so before it is left behind.
CANCEL_GRACE_SECONDS = 0.5
# How long the process's end waits for threads.
_LEAVE_SECONDS = 1.0

_left_behind: set[asyncio.Task[Any]] = set()


class _LeftBehindError(BaseException):
    """Raised in a thread whose caller has gone; no `except Exception` of its code holds it."""


class _Call:
    """One call in a thread, which can be told that nobody waits for it any more."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._lock = threading.Lock()
        self._thread_id: int | None = None

    def run(self) -> Any:
        with self._lock:
            self._thread_id = threading.get_ident()
        try:
            return self._function()
        finally:
            with self._lock:
                self._thread_id = None

    def leave(self) -> None:
        """End the call where Python gets to it; code in C ends when it comes back."""
        with self._lock:
            if self._thread_id is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread_id), ctypes.py_object(_LeftBehindError)
                )


async def call_in_thread(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call a blocking function in a daemon thread of its own.

    The loop's shared executor has only a few threads, so six hung calls would stop every later
    one; and it would hold up the end of the process. One whose caller is cancelled is ended too,
    lest a loop without end take its share of the processor from all that follows.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()
    call = _Call(lambda: context.run(function, *args, **kwargs))

    def deliver(set_it: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            set_it(value)

    def run() -> None:
        # A synchronous agent may ask its framework for a loop, and its framework this thread.
        asyncio.set_event_loop(LentLoop(loop))
        try:
            outcome: tuple[Callable[[Any], None], Any] = (
                future.set_result,
                call.run(),
            )
        except Exception as error:  # noqa: BLE001 - handed to the awaiting caller
            wrapped = RuntimeError(repr(error)) if isinstance(error, StopIteration) else error
            outcome = (future.set_exception, wrapped)
        except BaseException as error:  # noqa: BLE001 - SystemExit would end the event loop
            outcome = (future.set_exception, RuntimeError(repr(error)))
        # The loop may be closed: whoever asked has long gone on without an answer.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(deliver, *outcome)

    def work() -> None:
        # Told to end in the moment of its end, it is told here.
        with contextlib.suppress(_LeftBehindError):
            run()

    threading.Thread(target=work, name="cornerman-call", daemon=True).start()
    try:
        return await future
    except asyncio.CancelledError:
        call.leave()
        raise


class LeavingExecutor(ThreadPoolExecutor):
    """A loop's threads for `asyncio.to_thread`, whose end waits for none that does not come back.

    Agents' own code uses them too, and `asyncio.run` would wait for minutes, or for ever.
    """

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=False, cancel_futures=cancel_futures)
        give_up = time.monotonic() + _LEAVE_SECONDS
        for thread in list(self._threads) if wait else ():
            thread.join(max(0.0, give_up - time.monotonic()))


def leave_threads_behind(loop: asyncio.AbstractEventLoop) -> None:
    """Have the loop's end wait for no thread that does not come back."""
    before = getattr(loop, "_default_executor", None)
    loop.set_default_executor(LeavingExecutor())
    if before is not None:
        before.shutdown(wait=False)  # what it was given goes on; what is idle ends


def leave_process(code: int) -> NoReturn:
    """End the process at once, exit functions and output included.

    It waits for no thread that users' code never came back from.
    """
    give_up = time.monotonic() + _LEAVE_SECONDS
    ours = threading.current_thread()
    # Threads that wait for work end, as they would at the interpreter's end.
    for queue in list(futures_threads._threads_queues.values()):  # pyright: ignore
        queue.put(None)  # pyright: ignore
    others = [t for t in threading.enumerate() if t is not ours and not t.daemon]
    for thread in others:
        thread.join(max(0.0, give_up - time.monotonic()))
    atexit._run_exitfuncs()  # pyright: ignore
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    # Not by the interpreter's own end: it would wait for what is left, and taking apart all that
    # was imported costs a short command a fifth of its time.
    os._exit(code)


async def call_any(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function, sync or async; a sync one in a thread."""
    call = getattr(function, "__call__", function)  # noqa: B004 - an object may be async
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call):
        return await function(*args, **kwargs)
    result = await call_in_thread(function, *args, **kwargs)
    return await cast(Any, result) if inspect.isawaitable(result) else result


class TimeUpError(Exception):
    """The deadline came. Not a TimeoutError, which the work itself may raise."""


class Deadline:
    """A moment, some seconds from now, that may move."""

    def __init__(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds

    def extend(self, seconds: float) -> None:
        """Give back time that the work spent waiting for us."""
        self.at += seconds

    @property
    def remaining(self) -> float:
        return self.at - time.monotonic()


async def within(deadline: Deadline, work: Coroutine[Any, Any, T]) -> T:
    """Await `work` until the deadline, then cancel it and, if it will not, leave it behind.

    Raises:
        TimeUpError: The time was up, whatever the work made of that; at most
            `CANCEL_GRACE_SECONDS` later than asked.
        RuntimeError: The work ended itself by a CancelledError or by leaving the process.
    """
    task = asyncio.ensure_future(_contained(work))
    try:
        while not task.done() and deadline.remaining > 0:
            await asyncio.wait({task}, timeout=deadline.remaining)
    finally:
        if not (ended := task.done()):
            await _cancel(task)
    if not ended:
        raise TimeUpError
    return task.result()


async def _contained(work: Coroutine[Any, Any, T]) -> T:
    """Await work that is not ours; it may end itself, but neither the loop nor its caller."""
    task = asyncio.current_task()
    assert task is not None
    try:
        return await work
    except asyncio.CancelledError:
        if task.cancelling():
            raise
        raise RuntimeError("it was cancelled by its own code") from None
    except SystemExit as error:
        raise RuntimeError(f"it tried to leave the process: {error!r}") from None


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait({task}, timeout=CANCEL_GRACE_SECONDS)
    if task.done():
        _forget(task)
        return
    # It ignores cancellation. A reference keeps its end from being reported as lost.
    _left_behind.add(task)
    task.add_done_callback(_forget)
    # The loop's end cancels all tasks that it knows and waits for them: this one, for ever.
    asyncio.tasks._unregister_task(task)  # pyright: ignore
    task._log_destroy_pending = False  # pyright: ignore


def _forget(task: asyncio.Task[Any]) -> None:
    _left_behind.discard(task)
    if not task.cancelled():
        task.exception()
