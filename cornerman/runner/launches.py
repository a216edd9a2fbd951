"""Runs that were started as processes of this machine: what they were asked, and who lives.

Each has a file with its parameters, readable by its owner alone because evaluators may have been
given keys, and a lock that its process holds from its first moment to its last. So a process that
died is told from one that lives without trusting process ids, which are used again.

A run as a process of this machine, in a session of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from cornerman.domain.runs import RunKind
from cornerman.runner.ready import ReadyRunner
from cornerman.settings import Settings

LaunchKind = RunKind | Literal["promote"]
_KILL_SECONDS = 1.5


@dataclass(frozen=True)
class Launch:
    """One run's file.

    Args:
        parameters: What its flow gets, secrets included.
        starts: How often a process was started for it.
        pid: Of the process started last; 0 before the first.
    """

    run_id: str
    kind: LaunchKind
    parameters: dict[str, Any]
    starts: int = 0
    pid: int = 0


class LaunchFolder:
    """All launches below one CORNERMAN_HOME."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "launches"
        self._logs = home / "logs"

    def log_path(self, run_id: str) -> Path:
        """Where the run's process writes."""
        self._logs.mkdir(parents=True, exist_ok=True)
        return self._logs / f"{run_id}.log"

    def write(self, launch: Launch) -> None:
        """Keep a launch, whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = self._folder / f"{launch.run_id}.{os.getpid()}.part"
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(launch), file)
        partial.replace(self._path(launch.run_id))

    def read(self, run_id: str) -> Launch | None:
        """The launch; None when this machine has none for the run."""
        try:
            return Launch(**json.loads(self._path(run_id).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def count_start(self, launch: Launch, pid: int) -> Launch:
        """Keep that a process was started."""
        started = replace(launch, starts=launch.starts + 1, pid=pid)
        self.write(started)
        return started

    def run_ids(self) -> list[str]:
        """Runs that were started here and are not known to have ended."""
        if not self._folder.is_dir():
            return []
        return sorted(path.name.removesuffix(".json") for path in self._folder.glob("*.json"))

    def remove(self, run_id: str) -> None:
        """Forget a run that ended."""
        self._path(run_id).unlink(missing_ok=True)
        self._lock_path(run_id).unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self, run_id: str) -> Generator[int | None]:
        """Take the run's lock; yields its descriptor, or None when a process works on the run.

        A child that was given the descriptor holds the lock on after the block.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._lock_path(run_id), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
                return
            yield descriptor
        finally:
            os.close(descriptor)

    def has_process(self, run_id: str) -> bool:
        """Whether a process works on the run now."""
        with self.locked(run_id) as lock:
            return lock is None

    def kill(self, run_id: str) -> bool:
        """End the run's process at once; returns whether none is left. Blocks up to 1.5 s."""
        launch = self.read(run_id)
        give_up = time.monotonic() + _KILL_SECONDS
        while self.has_process(run_id):
            if launch is None or launch.pid == 0 or time.monotonic() > give_up:
                return False
            # The lock is held, so the process id is still that process's. Its own helpers, such
            # as the embedded Prefect server, are in its group.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(launch.pid, signal.SIGKILL)
            time.sleep(0.02)
        return True

    def _path(self, run_id: str) -> Path:
        return self._folder / f"{run_id}.json"

    def _lock_path(self, run_id: str) -> Path:
        return self._folder / f"{run_id}.lock"


# Kept so that children that ended are collected; whether one lives is told by its lock.
_children: list[subprocess.Popen[bytes]] = []


def collect_children() -> None:
    """Let the system forget processes that ended."""
    _children[:] = [child for child in _children if child.poll() is None]


def start_process(folder: LaunchFolder, launch: Launch) -> bool:
    """Start a process for the run; False when one works on it already."""
    with folder.locked(launch.run_id) as lock:
        if lock is None:
            return False
        # Written before the start, because the process reads its parameters there.
        folder.write(launch)
        with folder.log_path(launch.run_id).open("ab") as log:
            child = None
            if _ready:
                child = _ready[0].take(launch.kind, launch.run_id, lock, log.fileno())
            if child is None:
                child = _process(launch, lock, log.fileno())
        _children.append(child)
        folder.count_start(launch, child.pid)
    return True


def _process(launch: Launch, lock: int, log: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command(launch.kind, launch.run_id),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=(lock,),
        # Away from this process's group: its end, or a Ctrl-C, is not the run's.
        start_new_session=True,
    )


_ready: list[ReadyRunner] = []


@contextlib.contextmanager
def runner_kept_ready(settings: Settings) -> Generator[None]:
    """Hold a process that waits for a run, while the block lasts and runs are processes of here."""
    if settings.prefect_api_url is not None or settings.prefect_idle_seconds == 0:
        yield
        return
    runner = ReadyRunner(settings.prefect_idle_seconds)
    runner.make()
    _ready.append(runner)
    try:
        yield
    finally:
        _ready.remove(runner)
        runner.close()


def command(kind: LaunchKind, run_id: str) -> list[str]:
    """What to type to work on a run that was stored; it holds no secret."""
    return [sys.executable, "-m", "cornerman.runner", kind, "--run-id", run_id]
