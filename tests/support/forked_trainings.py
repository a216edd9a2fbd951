"""Trainings in processes that can be killed, started in a fraction of a second.

To import Prefect takes seconds, so one process imports everything once and forks for each
training. As a script it reads one JSON document a line, `{"env", "request", "run_id"}`, and answers
with the process's number; the training's end is told by its exit code.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]


class ForkedTrainings:
    """The process that forks. Use it with `with`."""

    def __init__(self, **env: str) -> None:
        environ = dict(os.environ) | {"PYTHONPATH": str(ROOT)} | env
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environ,
            text=True,
        )

    def __enter__(self) -> ForkedTrainings:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def start(self, request: dict[str, Any], run_id: str, **env: str) -> psutil.Process:
        """Start or continue a training."""
        assert self._process.stdin is not None and self._process.stdout is not None
        job = {"env": env, "request": request, "run_id": run_id}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return psutil.Process(int(self._process.stdout.readline()))


def ends_within(process: psutil.Process, seconds: float) -> bool:
    """Wait until a process has ended, whoever its parent is."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


def kill_and_count_left(process: psutil.Process) -> int:
    """Kill -9; return how many of its children live on two seconds later."""
    try:
        children = process.children(recursive=True)
    except psutil.NoSuchProcess:
        children = []
    process.kill()
    assert ends_within(process, 5)
    return sum(not ends_within(child, 3) for child in children)


def _train(job: dict[str, Any]) -> None:
    from cornerman.domain.training import TrainParameters
    from cornerman.flows.train import train_workflow

    os.environ.update(job["env"])
    asyncio.run(train_workflow(TrainParameters(**job["request"], run_id=job["run_id"])))


def main() -> None:
    """Fork for each line of standard input."""
    import prefect.task_engine  # noqa: F401 - what a run would import at its first task

    import cornerman.flows.train  # noqa: F401

    for line in sys.stdin:
        if pid := os.fork():
            print(pid, flush=True)
            # Collect who has ended, so that nobody stays a zombie for long.
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
            continue
        _train(json.loads(line))
        os._exit(0)


if __name__ == "__main__":
    main()
