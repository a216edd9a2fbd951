"""A flow's process ends with its worker, so that another worker can take the run over at once.

`cornerman.deployments.worker` holds a lock on a file for as long as it lives and names the file to
what it starts. A lock is let go by the system itself, whatever ends the worker; a process id would
not tell as much, since numbers are used again.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from pathlib import Path

from cornerman.settings import worker_lock

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
