"""Who works on a run: a name for a process, and whether that process is gone.

A flow's process ends with its worker, so that another worker can take the run over at once.

`cornerman.deployments.worker` holds a lock on a file for as long as it lives and names the file to
what it starts. A lock is let go by the system itself, whatever ends the worker; a process id would
not tell as much, since numbers are used again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import threading
import time
import uuid
from pathlib import Path

from cornerman.settings import worker_lock


def process_owner() -> str:
    """A name for this process's work, unique over machines and restarts."""
    pid = os.getpid()
    return f"{socket.gethostname()}:{pid}:{started_at(pid)}-{uuid.uuid4().hex[:8]}"


def is_gone(owner: str) -> bool:
    """Whether an owner's process has ended; False when that cannot be known from here.

    A run whose process was killed can so be resumed at once on the same machine, where another
    machine has to wait until its heartbeat is old.
    """
    host, _, rest = owner.rpartition(":")
    host, _, pid = host.rpartition(":")
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    return not is_process(int(pid), rest.partition("-")[0])


def end_owner(owner: str) -> bool:
    """End an owner's process by force; False when it is not one of here."""
    host, _, rest = owner.rpartition(":")
    host, _, pid = host.rpartition(":")
    start = rest.partition("-")[0]
    if host != socket.gethostname() or not pid.isdecimal() or not start:
        return False
    if int(pid) == os.getpid() or not is_process(int(pid), start):
        return False
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(int(pid), signal.SIGKILL)
    return True


def is_process(pid: int, start: str) -> bool:
    """Whether a process lives and is the one that started then; see `started_at`."""
    # Numbers of processes are used again.
    return started_at(pid) == start if start else _exists(pid)


def started_at(pid: int) -> str:
    """The process's start in clock ticks since boot; empty when it has ended or no /proc tells."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The command's name comes second, in parentheses, and may hold anything.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


_LOOK_SECONDS = 0.5


def end_with_worker() -> None:
    """Watch the worker that started this process, if one did, and end when it ends."""
    lock = worker_lock()
    if lock is not None:
        threading.Thread(target=_watch, args=(lock,), name="worker-watch", daemon=True).start()


def _watch(lock: Path) -> None:
    while is_held(lock):
        time.sleep(_LOOK_SECONDS)
    # At once, as if the machine had gone: nothing half-done is written, and whoever resumes the
    # run finds it as after a crash, which is what is tested most.
    os.kill(os.getpid(), signal.SIGKILL)


def is_held(lock: Path) -> bool:
    """Whether a living process holds the lock."""
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
