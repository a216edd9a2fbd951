"""`make bench-start`: how long a command keeps a person waiting, medians of five.

Short commands from typing to their end; `cornerman train` from typing to the first call that a
model stand-in gets, with and without a Prefect server of an earlier command, its processor time,
and its memory with all of its processes'. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil

from tests.bench.training_load import training_request
from tests.support.command import COMMAND
from tests.support.llm_standin import LLMStandin, Reply

CASES = 14
_MIB = 2**20


def main() -> None:
    """Measure and print a table, or with --json a document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-start-") as folder:
        figures = asyncio.run(measure(Path(folder), given.rounds))
    if given.json:
        print(json.dumps(figures, indent=2))
        return
    for name, figure in figures.items():
        print(f"{name:<44} {figure:8.2f}")


async def measure(folder: Path, rounds: int) -> dict[str, float]:
    """All figures, by what they are."""
    (folder / "spec.json").write_text(json.dumps(training_request(CASES)))
    figures = {}
    for typed in ("--help", "runs list", "doctor"):
        run = Command(folder, typed.split())
        await run.measured()  # compiles, and sets the database up
        figures[f"{typed}, s"] = await median(rounds, run.measured)
    train = Command(folder, ["train", str(folder / "spec.json"), "--json"])
    await train.measured()  # keeps the empty database of Prefect's
    figures["train, no server: to the first call, s"] = await median(rounds, train.without_server)
    figures["train, server up: to the first call, s"] = await median(rounds, train.to_first_call)
    figures["train, server up: whole, s"] = statistics.median(train.walls[-rounds:])
    figures["train, server up: its processor, s"] = statistics.median(train.cpus[-rounds:])
    figures["train: its memory, MiB"] = max(train.memory)
    figures["train: its server's memory, MiB"] = max(train.server_memory)
    await Command(folder, ["stop"]).measured()
    return figures


async def median(rounds: int, one: Callable[[], Coroutine[Any, Any, float]]) -> float:
    """The median of so many."""
    return statistics.median([await one() for _ in range(rounds)])


class Command:
    """One command, run again and again in a home below `folder`."""

    def __init__(self, folder: Path, arguments: list[str]) -> None:
        self._folder = folder
        self._arguments = arguments
        self._first_call: float | None = None
        self.walls: list[float] = []
        self.cpus: list[float] = []
        self.memory: list[float] = []
        self.server_memory: list[float] = []

    async def measured(self) -> float:
        """Seconds from its start to its end."""
        async with LLMStandin(self._answer, latency=0.02, record=False) as standin:
            env = os.environ | {
                "CORNERMAN_HOME": str(self._folder / "home"),
                "OPENAI_BASE_URL": standin.base_url,
                "OPENAI_API_KEY": "sk-bench",
                "MODEL_PRICES": json.dumps({"gpt-4o-mini": {"input": 1, "output": 1}}),
            }
            self._first_call = None
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            began = time.perf_counter()
            process = await asyncio.create_subprocess_exec(
                str(COMMAND),
                *self._arguments,
                env=env,
                cwd=self._folder,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            sampling = asyncio.create_task(self._sample(process.pid))
            _, said = await process.communicate()
            wall = time.perf_counter() - began
            sampling.cancel()
        if process.returncode:
            sys.exit(f"{self._arguments} ended with {process.returncode}: {said.decode()}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpus.append(after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime)
        self.walls.append(wall)
        self._began = began
        return wall

    async def to_first_call(self) -> float:
        """Seconds from its start to the first model call."""
        await self.measured()
        assert self._first_call is not None
        return self._first_call - self._began

    async def without_server(self) -> float:
        """The same, where the server has to be started."""
        await Command(self._folder, ["stop"]).measured()
        return await self.to_first_call()

    def _answer(self, request: dict[str, Any], n: int) -> Reply:
        if self._first_call is None:
            self._first_call = time.perf_counter()
        return Reply(text="ok")

    async def _sample(self, pid: int) -> None:
        if "train" not in self._arguments:
            return
        while True:
            await asyncio.sleep(0.25)
            try:
                self.memory.append(psutil.Process(pid).memory_info().rss / _MIB)
            except psutil.NoSuchProcess:
                return
            for path in self._folder.glob("home/prefect/embedded/*/server.json"):
                server = json.loads(path.read_text())["pid"]
                if server and psutil.pid_exists(server):
                    self.server_memory.append(psutil.Process(server).memory_info().rss / _MIB)


if __name__ == "__main__":
    main()
