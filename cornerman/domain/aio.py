"""Waiting for code that is not ours: with a deadline that holds, and off the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

T = TypeVar("T")

# How long a case that was told to stop may take to do so before it is left behind.
CANCEL_GRACE_SECONDS = 0.5

_left_behind: set[asyncio.Task[Any]] = set()


async def call_in_thread(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call a blocking function in a daemon thread of its own.

    The loop's shared executor has only a few threads, so six hung calls would stop every later
    one; and it would hold up the end of the process.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def deliver(set_it: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            set_it(value)

    def run() -> None:
        try:
            outcome: tuple[Callable[[Any], None], Any] = (
                future.set_result,
                context.run(function, *args, **kwargs),
            )
        except BaseException as error:  # noqa: BLE001 - handed to the awaiting caller
            wrapped = RuntimeError(repr(error)) if isinstance(error, StopIteration) else error
            outcome = (future.set_exception, wrapped)
        if not loop.is_closed():
            loop.call_soon_threadsafe(deliver, *outcome)

    threading.Thread(target=run, name="cornerman-call", daemon=True).start()
    return await future


async def call_any(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function, sync or async; a sync one in a thread."""
    call = getattr(function, "__call__", function)  # noqa: B004 - an object may be async
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call):
        return await function(*args, **kwargs)
    result = await call_in_thread(function, *args, **kwargs)
    return await cast(Any, result) if inspect.isawaitable(result) else result


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Await `work` for at most `seconds`, then cancel it and, if it will not, leave it behind.

    Raises:
        TimeoutError: The time was up; at most `CANCEL_GRACE_SECONDS` later than asked.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        if not task.done():
            await _cancel(task)
    if task.done() and not task.cancelled():
        return task.result()
    raise TimeoutError(f"No answer within {seconds:g} s.")


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait({task}, timeout=CANCEL_GRACE_SECONDS)
    if not task.done():
        # It ignores cancellation. Keep a reference so that its end is not reported as lost.
        _left_behind.add(task)
        task.add_done_callback(_forget)


def _forget(task: asyncio.Task[Any]) -> None:
    _left_behind.discard(task)
    if not task.cancelled():
        task.exception()
