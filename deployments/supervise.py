"""Ending with one's parent, however the parent ends.

A child of `cornerman serve` gets a pipe as its standard input, whose other end only the parent
holds: the pipe's end is the parent's end, kill -9 included.

Keeps child processes running: starts again what dies, and leaves nobody behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "CORNERMAN_ENDS_WITH_PARENT"
_LOOK_SECONDS = 0.5
_GOODBYE_SECONDS = 3.0


def end_with_parent(stop: Callable[[], None]) -> bool:
    """Watch the parent, if it asked for that; call `stop` when it ends, and exit soon after.

    Returns:
        Whether it asked.
    """
    if os.environ.pop(VARIABLE, "") != "1":
        return False
    watching = threading.Thread(target=_watch, args=(os.getppid(), stop), daemon=True)
    watching.start()
    return True


def _watch(parent: int, stop: Callable[[], None]) -> None:
    # What the parent forked may hold the pipe open, so the parent's number is looked at too.
    while os.getppid() == parent:
        ready, _, _ = select.select([0], [], [], _LOOK_SECONDS)
        if ready and not os.read(0, 4096):
            break
    # Should `stop` hang, or what it stops.
    last = threading.Timer(_GOODBYE_SECONDS, os._exit, args=(0,))
    last.daemon = True
    last.start()
    stop()


STOP_SECONDS = 3.0
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
# One that ran for so long has got over whatever ended it before.
_SETTLED_SECONDS = 60.0
_LARGEST_LOG_BYTES = 10_000_000


@dataclass(frozen=True)
class Child:
    """A process to keep running.

    Args:
        log: Where it writes; None: to this process's own error output.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path | None = None


class Supervisor:
    """Runs children until it is stopped.

    Args:
        say: Told of every end and every start after the first.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._stopping = False
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._keepers: list[asyncio.Task[None]] = []

    def keep(self, child: Child) -> None:
        """Start a child and keep it running."""
        keeper = asyncio.create_task(self._keep(child), name=f"keep-{child.name}")
        self._keepers.append(keeper)

    def pid(self, name: str) -> int | None:
        """The child's process id; None while it is down."""
        process = self._running.get(name)
        return None if process is None else process.pid

    async def _keep(self, child: Child) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while not self._stopping:
            began = time.monotonic()
            process = await self._start(child)
            self._running[child.name] = process
            code = await process.wait()
            self._running.pop(child.name, None)
            # What it started itself is in its group.
            _signal(process, signal.SIGKILL)
            if self._stopping:
                return
            if time.monotonic() - began > _SETTLED_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            where = "" if child.log is None else f"; see {child.log}"
            self._say(f"{child.name} ended ({code}); again in {pause:g} s{where}")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _start(self, child: Child) -> asyncio.subprocess.Process:
        with contextlib.ExitStack() as stack:
            log = None
            if child.log is not None:
                _make_room(child.log)
                log = stack.enter_context(child.log.open("ab"))
            return await asyncio.create_subprocess_exec(
                *child.command,
                # Never written to: its end tells the child that this process has ended.
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**child.environment, VARIABLE: "1"},
                # Ctrl-C is this process's to answer.
                start_new_session=True,
            )

    async def stop(self) -> None:
        """End all children, by force after a few seconds."""
        self._stopping = True
        held = list(self._running.values())
        for process in held:
            _signal(process, signal.SIGTERM, group=False)
        waiting = [asyncio.create_task(process.wait()) for process in held]
        if waiting:
            await asyncio.wait(waiting, timeout=STOP_SECONDS)
        for process in held:
            _signal(process, signal.SIGKILL)
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*waiting, *self._keepers, return_exceptions=True)


def _make_room(log: Path) -> None:
    """Put a log that has grown large aside; the one before it goes."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LARGEST_LOG_BYTES:
        log.replace(log.with_suffix(".1.log"))


def _signal(process: asyncio.subprocess.Process, number: int, *, group: bool = True) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if group:
            os.killpg(process.pid, number)
        elif process.returncode is None:
            process.send_signal(number)
