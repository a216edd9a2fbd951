"""Waiting for code that is not ours: it can neither hold us nor take us down."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import time
from functools import partial
from typing import Any

import pytest

from cornerman.domain.aio import (
    CANCEL_GRACE_SECONDS,
    Deadline,
    TimeUpError,
    call_any,
    call_in_thread,
    within,
)

word: contextvars.ContextVar[str] = contextvars.ContextVar("word", default="none")


def fail(error: BaseException) -> None:
    raise error


async def fail_async(error: BaseException) -> None:
    raise error


async def test_work_in_time_gives_its_result_or_its_own_error():
    assert await within(Deadline(1), asyncio.sleep(0, "done")) == "done"
    with pytest.raises(ValueError, match="mine"):
        await within(Deadline(1), fail_async(ValueError("mine")))
    # A TimeoutError of its own is no end of our time.
    with pytest.raises(TimeoutError, match="theirs"):
        await within(Deadline(1), fail_async(TimeoutError("theirs")))


async def test_late_work_is_cancelled():
    ended = list[str]()

    async def work() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            ended.append("cleaned up")

    with pytest.raises(TimeUpError):
        await within(Deadline(0.05), work())
    assert ended == ["cleaned up"]


@pytest.mark.parametrize("made_of_it", ["an answer", ValueError("an error")])
async def test_what_work_makes_of_its_cancellation_comes_too_late(made_of_it: Any):
    async def work() -> Any:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            if isinstance(made_of_it, Exception):
                raise made_of_it from None
            return made_of_it

    with pytest.raises(TimeUpError):
        await within(Deadline(0.05), work())


async def test_work_that_ignores_cancellation_is_left_behind_within_a_second():
    let_go = asyncio.Event()

    async def stubborn() -> None:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue

    began = time.monotonic()
    with pytest.raises(TimeUpError):
        await within(Deadline(0.05), stubborn())
    assert time.monotonic() - began < 0.05 + CANCEL_GRACE_SECONDS + 0.4
    let_go.set()


async def test_cancelling_the_caller_cancels_the_work():
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            ended.set()

    caller = asyncio.create_task(within(Deadline(10), work()))
    await asyncio.sleep(0.01)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended.is_set()


async def test_a_deadline_moves_by_the_time_that_is_given_back():
    deadline = Deadline(0.05)

    async def work() -> str:
        deadline.extend(1)
        return await asyncio.sleep(0.15, "in time")

    assert await within(deadline, work()) == "in time"


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError()])
async def test_work_that_would_end_the_process_or_its_caller_is_an_error(error: BaseException):
    with pytest.raises(RuntimeError):
        await within(Deadline(1), fail_async(error))


async def test_a_blocking_call_does_not_hold_up_the_loop():
    began = time.monotonic()
    await asyncio.gather(*(call_in_thread(time.sleep, 0.2) for _ in range(40)))
    assert time.monotonic() - began < 1.5


async def test_a_thread_is_a_daemon_and_sees_the_callers_context():
    word.set("mine")
    assert await call_in_thread(word.get) == "mine"
    assert await call_in_thread(lambda: threading.current_thread().daemon)


@pytest.mark.parametrize("error", [ValueError("mine"), StopIteration(), SystemExit(2)])
async def test_an_error_in_a_thread_reaches_the_caller_as_one_that_can_be_caught(error: Any):
    expected = ValueError if isinstance(error, ValueError) else RuntimeError
    with pytest.raises(expected):
        await call_in_thread(fail, error)


async def test_a_hung_thread_does_not_hold_a_cancelled_caller():
    let_go = threading.Event()
    with pytest.raises(TimeUpError):
        await within(Deadline(0.05), call_in_thread(let_go.wait, 10))
    let_go.set()


class SyncObject:
    def __call__(self, value: int) -> int:
        return value + 1


class AsyncObject:
    async def __call__(self, value: int) -> int:
        return value + 1


async def add_one(value: int) -> int:
    return value + 1


@pytest.mark.parametrize(
    "function",
    [
        lambda value: value + 1,
        lambda value: add_one(value),
        add_one,
        partial(add_one),
        SyncObject(),
        AsyncObject(),
    ],
)
async def test_every_kind_of_callable_is_called_alike(function: Any):
    assert await call_any(function, 1) == 2


def test_a_thread_that_ends_after_the_loop_says_nothing(capfd: pytest.CaptureFixture[str]):
    let_go = threading.Event()

    async def leave() -> None:
        with pytest.raises(TimeUpError):
            await within(Deadline(0.01), call_in_thread(let_go.wait, 10))

    asyncio.run(leave())
    let_go.set()
    for thread in threading.enumerate():
        if thread.name == "cornerman-call":
            thread.join(1)
    sys.stderr.flush()
    assert capfd.readouterr().err == ""
