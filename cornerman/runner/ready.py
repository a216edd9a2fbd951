"""A process that has imported everything and waits for its run, so that a run begins at once.

The gateway holds one and, once it is taken, the next. A run gives it what a process that is
started for a run inherits: the lock that it holds to its end, and the log that it writes to. It
ends with the gateway as long as it has no run, and outlives it from then on.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib import import_module

_MOST_BYTES = 4096
# What is being made takes the processor from the run that took the one before.
_PAUSE_SECONDS = 3.0


class ReadyRunner:
    """At most one waiting process of this machine, made in the background.

    Args:
        idle_seconds: Let go of it when no run was started for so long, since it holds a few
            hundred MiB with its Prefect server; the next run makes another.
    """

    def __init__(self, idle_seconds: float) -> None:
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._timer: threading.Timer | None = None
        self._closed = False

    def make(self) -> None:
        """Have one wait, unless one does."""
        with self._lock:
            if self._closed or (self._child is not None and self._child.poll() is None):
                return
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._child = subprocess.Popen(
                    [sys.executable, "-m", "cornerman.runner", "--ready", str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            self._socket = ours
            self._later(self._idle_seconds, self.let_go)

    def take(self, kind: str, run_id: str, lock: int, log: int) -> subprocess.Popen[bytes] | None:
        """Give the run to the waiting process; None when none waits.

        Args:
            lock, log: Descriptors of the run's lock and log, which the process holds on.
        """
        with self._lock:
            child, waiting = self._child, self._socket
            self._child = self._socket = None
            if self._closed:
                return None
            self._later(_PAUSE_SECONDS, self.make)
            if child is None or waiting is None:
                return None
            run = json.dumps({"kind": kind, "run_id": run_id}).encode()
            with waiting:
                try:
                    socket.send_fds(waiting, [run], [lock, log])
                except OSError:
                    return None  # it ended
            return child if child.poll() is None else None

    def let_go(self) -> None:
        """End the waiting process."""
        with self._lock:
            child, waiting = self._child, self._socket
            self._child = self._socket = None
        if waiting is not None:
            waiting.close()
        if child is not None:
            _end(child)

    def close(self) -> None:
        """End it for good."""
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
        self.let_go()

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(seconds, do)
        self._timer.daemon = True
        self._timer.start()


def _end(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def wait_for_run(descriptor: int) -> int:
    """In the process: import what a run needs, wait for one, and work on it."""
    from cornerman.flows.plumbing.embedded_client import take_begun
    from cornerman.flows.plumbing.warm import warm_up

    waiting = socket.socket(fileno=descriptor)
    _import_everything()
    # Held for as long as this process waits, so that it does not end meanwhile.
    server = take_begun()
    server.until_ready()
    warm_up()
    message, descriptors, _, _ = socket.recv_fds(waiting, _MOST_BYTES, 2)
    waiting.close()
    if not message:
        return 0  # whoever held this process has ended
    lock, log = descriptors
    # Programs that an agent starts must not hold the lock when this process has ended.
    os.set_inheritable(lock, False)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    run = json.loads(message)
    from cornerman.runner.work import run as work

    return work(run["kind"], run["run_id"])


# What the three kinds of runs come to, and what they import themselves in the middle of work.
_EVERYTHING = (
    "openai",
    "scipy.stats",
    "cornerman.flows.battle",
    "cornerman.flows.scout",
    "cornerman.flows.train",
    "cornerman.runner.work",
)


def _import_everything() -> None:
    for name in _EVERYTHING:
        import_module(name)
