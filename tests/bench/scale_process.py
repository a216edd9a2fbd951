"""What a battle and a case take of their process and of its writer, seen from inside the process.

`python -m tests.bench.scale_process SERVER_PID`, on the configured databases and endpoint. A worker
starts a process for each run, whose seconds would drown the milliseconds of a battle; here one
process runs them all, and small and large runs take turns.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from typing import Any

import psutil

from tests.bench.training_load import training_request

# (units of a small run, of a large one, how often each)
BATTLES = (1, 10, 5)
CASES = (10, 210, 2)
# The Prefect server writes what it was told a few seconds later.
_SETTLE_SECONDS = 8.0
_IDLE_SECONDS = 10.0


@dataclass
class Taken:
    """Sums over runs."""

    cpu_s: float = 0.0
    server_cpu_s: float = 0.0
    writes: float = 0.0
    write_s: float = 0.0

    def minus(self, other: Taken) -> Taken:
        return Taken(*(mine - its for mine, its in zip(self.all(), other.all(), strict=True)))

    def all(self) -> tuple[float, ...]:
        return self.cpu_s, self.server_cpu_s, self.writes, self.write_s


class Clock:
    """Counts what this process, its writers and the Prefect server do."""

    def __init__(self, server_pid: int) -> None:
        from cornerman.storage.database.writer import Writer

        self._server = psutil.Process(server_pid)
        self._writes, self._write_s = 0, 0.0
        plain = Writer._commit

        def timed(writer: Any, batch: list[Any]) -> Any:
            began = time.perf_counter()
            try:
                return plain(writer, batch)
            finally:
                self._write_s += time.perf_counter() - began
                self._writes += len(batch)

        Writer._commit = timed  # type: ignore[method-assign]
        began = self._server_cpu()
        time.sleep(_IDLE_SECONDS)
        self._idle = (self._server_cpu() - began) / _IDLE_SECONDS

    def _server_cpu(self) -> float:
        return sum(self._server.cpu_times()[:2])

    async def over(self, run: Any, size: int, times: int) -> Taken:
        """What so many runs of a size take; the server's idle time is left out."""
        began = time.monotonic()
        before = (time.process_time(), self._server_cpu(), self._writes, self._write_s)
        for number in range(times):
            await run(size, number)
        own = time.process_time() - before[0]
        await asyncio.sleep(_SETTLE_SECONDS)
        idle = self._idle * (time.monotonic() - began)
        return Taken(
            own,
            self._server_cpu() - before[1] - idle,
            self._writes - before[2],
            self._write_s - before[3],
        )

    async def of_a_unit(self, run: Any, plan: tuple[int, int, int]) -> dict[str, float]:
        """What each unit adds; the whole writer's time over all writes."""
        small_size, large_size, times = plan
        await run(small_size, 0)  # whatever comes into being only once
        small = await self.over(run, small_size, times)
        large = await self.over(run, large_size, times)
        units = times * (large_size - small_size)
        each = large.minus(small)
        return {
            "worker_cpu_s": each.cpu_s / units,
            "server_cpu_s": max(0.0, each.server_cpu_s / units),
            "writes": each.writes / units,
            "write_ms": 1000 * large.write_s / large.writes,
        }


async def _battles(size: int, number: int) -> None:
    from cornerman.domain.battles.request import BattleParameters
    from cornerman.flows.battle import battle_batch

    asked = BattleParameters(workflow_id="negotiation", batch_size=size, seed=number)
    done = await battle_batch(asked)
    assert done["battlesCompleted"] == size, done


async def _cases(size: int, number: int) -> None:
    from cornerman.domain.training import TrainParameters
    from cornerman.flows.train import train_workflow

    done = await train_workflow(TrainParameters.model_validate(training_request(size)))
    assert done["cases"]["errored"] == 0, done


async def measure(server_pid: int) -> dict[str, dict[str, float]]:
    """Of a `battle` and of a `case`."""
    clock = Clock(server_pid)
    return {
        "battle": await clock.of_a_unit(_battles, BATTLES),
        "case": await clock.of_a_unit(_cases, CASES),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(int(sys.argv[1])))))
