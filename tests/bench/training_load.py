"""Trainings of one epoch as a load: a stand-in endpoint, the request, and a run that is measured.

What is measured is the evaluation of the starting prompts: from the first case's start to the last
one's end, ledger, events and rows included, but no server's start and no report.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
AT_ONCE = 8
_MIB = 2**20
# The Prefect server writes what it was told once a second, and other things every five.
_REST_SECONDS = 6.0
_IDLE_SECONDS = 3.0


@contextlib.contextmanager
def standin(seconds: float, answer: str = "ok") -> Iterator[str]:
    """A model endpoint in a process of its own; yields its base URL."""
    command = [sys.executable, str(ROOT / "tests/support/llm_standin.py"), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--latency-ms", str(seconds * 1000), "--answer", answer],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def training_request(cases: int, *, workflow_id: str = "bench") -> dict[str, Any]:
    """One epoch over so many cases, each of which the stand-in answers as expected."""
    questions = [
        {"inputs": {"question": f"{workflow_id}: question {number}?"}, "expected_output": "ok"}
        for number in range(cases)
    ]
    split = {"train": 0.5, "validation": 0.5, "test": 0}
    return {
        "workflow_id": workflow_id,
        "dataset": {"cases": questions, "split": split},
        "evaluators": [{"id": "exact", "entrypoint": "exact_match"}],
        "prompts": {"system": {"text": "Answer.", "requires_grad": True}},
        "optimizer": {"epochs": 1, "max_concurrency": AT_ONCE},
    }


class Usage:
    """Processor time and memory of this process and of those that it started, over a while.

    Args:
        rests: Stay until the others have done what they were given, and count that too.
    """

    def __init__(self, *, rests: bool = False) -> None:
        import psutil

        self._rests = rests
        self._process = psutil.Process()
        self._stop = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._began = (time.perf_counter(), time.process_time(), self._children_cpu())
        self.memory_mib: list[float] = []
        self.children_mib: list[float] = []
        self._sampler.start()

    def _children(self) -> list[Any]:
        return list(self._process.children(recursive=True))

    def _children_cpu(self) -> float:
        return sum(sum(child.cpu_times()[:2]) for child in self._children())

    def _children_cpu_at_end(self) -> float:
        """Once they have done what they were given, less what they take when they do nothing."""
        if not self._rests:
            return self._children_cpu()
        time.sleep(_REST_SECONDS)
        taken = self._children_cpu()
        time.sleep(_IDLE_SECONDS)
        idle = (self._children_cpu() - taken) / _IDLE_SECONDS
        return taken - idle * _REST_SECONDS

    def _sample(self) -> None:
        import psutil

        while not self._stop.wait(0.25):
            self.memory_mib.append(self._process.memory_info().rss / _MIB)
            with contextlib.suppress(psutil.NoSuchProcess):
                children = sum(child.memory_info().rss for child in self._children())
                self.children_mib.append(children / _MIB)

    def end(self) -> dict[str, float]:
        """Figures since the beginning; growth is that of the last four fifths of the time."""
        wall, cpu, children = self._began
        taken = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        self._stop.set()
        self._sampler.join()
        return taken | {
            "children_cpu_s": self._children_cpu_at_end() - children,
            "growth_mib": _growth(self.memory_mib),
            "peak_mib": max(self.memory_mib, default=0.0),
            "children_growth_mib": _growth(self.children_mib),
            "children_peak_mib": max(self.children_mib, default=0.0),
        }


def _growth(samples: list[float]) -> float:
    """From a fifth of the way, when everything is warm, to the end; each end is a tenth's mean."""
    if len(samples) < 20:
        return 0.0
    tenth = len(samples) // 10
    warm = samples[len(samples) // 5 :][:tenth]
    return sum(samples[-tenth:]) / tenth - sum(warm) / tenth


async def run_here(cases: int, seconds: float, *, rests: bool = False) -> dict[str, float]:
    """One training in this process, measured around the lab's evaluation alone."""
    from cornerman.domain.training import TrainParameters
    from cornerman.flows.lab import TrainingLab
    from cornerman.flows.train import train_workflow

    taken: dict[str, float] = {}
    plain = TrainingLab.evaluate

    async def measured(self: Any, candidate: Any, wanted: Any) -> Any:
        usage = Usage(rests=rests)
        try:
            return await plain(self, candidate, wanted)
        finally:
            taken.update(usage.end())

    TrainingLab.evaluate = measured  # type: ignore[method-assign]
    try:
        result = await train_workflow(TrainParameters.model_validate(training_request(cases)))
    finally:
        TrainingLab.evaluate = plain  # type: ignore[method-assign]
    assert result["cases"]["scored"] == cases, result["cases"]
    ideal = cases * seconds / AT_ONCE
    return {"ideal_s": ideal, "of_ideal": ideal / taken["wall_s"]} | taken


def run_apart(cases: int, seconds: float, *, rests: bool = False) -> dict[str, float]:
    """The same in a process of its own, on the embedded Prefect server and a new SQLite."""
    with standin(seconds) as address, tempfile.TemporaryDirectory() as home:
        environment = os.environ | {
            "OPENAI_BASE_URL": address,
            "OPENAI_API_KEY": "bench",
            "CORNERMAN_HOME": home,
        }
        environment.pop("PREFECT_API_URL", None)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.bench.training_load"),
                *(str(cases), str(seconds), *(["rests"] if rests else [])),
            ],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise SystemExit(done.stderr[-2_000:])
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    rests = sys.argv[3:] == ["rests"]
    print(json.dumps(asyncio.run(run_here(int(sys.argv[1]), float(sys.argv[2]), rests=rests))))
