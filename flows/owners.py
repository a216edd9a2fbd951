"""Who works on a run: a name for a process, and whether that process is gone."""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path


def process_owner() -> str:
    """A name for this process's work, unique over machines and restarts."""
    pid = os.getpid()
    return f"{socket.gethostname()}:{pid}:{_started_at(pid)}-{uuid.uuid4().hex[:8]}"


def is_gone(owner: str) -> bool:
    """Whether an owner's process has ended; False when that cannot be known from here.

    A run whose process was killed can so be resumed at once on the same machine, where another
    machine has to wait until its heartbeat is old.
    """
    host, _, rest = owner.rpartition(":")
    host, _, pid = host.rpartition(":")
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    started_at = rest.partition("-")[0]
    if not started_at:
        return not _exists(int(pid))
    # Numbers of processes are used again.
    return _started_at(int(pid)) != started_at


def _started_at(pid: int) -> str:
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
