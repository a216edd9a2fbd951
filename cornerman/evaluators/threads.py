"""Runs blocking code beside the event loop without ever waiting for it at exit."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def run_in_thread(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Return `function(*args, **kwargs)`, run in a daemon thread of its own.

    Unlike `asyncio.to_thread` there is no pool that a hung call could fill, and neither
    `asyncio.run` nor the interpreter waits for the thread at the end. When the caller is
    cancelled or timed out, it goes on at once; the thread's late answer is dropped. Context
    variables are those of the caller.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def resolve(value: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(value)
        elif isinstance(error, StopIteration):
            # A future cannot hold StopIteration: it would end the awaiting coroutine.
            future.set_exception(RuntimeError(f"StopIteration from {function!r}"))
        else:
            future.set_exception(error)

    def work() -> None:
        value, error = None, None
        try:
            value = context.run(function, *args, **kwargs)
        except BaseException as raised:  # noqa: BLE001 - handed to the caller, who awaits it
            error = raised
        if not loop.is_closed():
            try:
                loop.call_soon_threadsafe(resolve, value, error)
            except RuntimeError:
                # The loop closed in between; nobody waits for the answer any more.
                return

    name = getattr(function, "__name__", type(function).__name__)
    threading.Thread(target=work, name=f"blocking-{name}", daemon=True).start()
    return await future
