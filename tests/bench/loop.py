"""`make bench`: how close the evaluation loop comes to the ideal, ledger, events and rows included.

Each line is one training run of one epoch in a process of its own, on the embedded Prefect
server and SQLite, against a stand-in endpoint that answers after a fixed time. The figure is the
ideal time (cases x seconds / 8) over the time from the first case's start to the last case's end.
"""

from __future__ import annotations

import argparse
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
# (cases, seconds each, least share of the ideal)
PLANS = ((64, 1.0, 0.92), (400, 0.2, 0.75))


@contextlib.contextmanager
def _standin(seconds: float) -> Iterator[str]:
    command = [sys.executable, str(ROOT / "tests/support/llm_standin.py"), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--latency-ms", str(seconds * 1000), "--answer", "ok"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def _request(cases: int) -> dict[str, Any]:
    return {
        "workflow_id": "bench",
        "dataset": {
            "cases": [
                {"inputs": {"question": f"Question {number}?"}, "expected_output": "ok"}
                for number in range(cases)
            ],
            "split": {"train": 0.5, "validation": 0.5, "test": 0},
        },
        "evaluators": [{"id": "exact", "entrypoint": "exact_match"}],
        "prompts": {"system": {"text": "Answer.", "requires_grad": True}},
        "optimizer": {"epochs": 1, "max_concurrency": AT_ONCE},
    }


def _sample_memory(samples: list[float], stop: threading.Event) -> None:
    import psutil

    process = psutil.Process()
    while not stop.wait(0.1):
        samples.append(process.memory_info().rss / 2**20)


async def _run(cases: int, seconds: float) -> dict[str, float]:
    """One run in this process; the time is taken around the lab's evaluation alone."""
    from cornerman.domain.train_parameters import TrainParameters
    from flows.lab import TrainingLab
    from flows.train import train_workflow

    taken: dict[str, float] = {}
    plain = TrainingLab.evaluate

    async def timed(self: Any, candidate: Any, wanted: Any) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        results = await plain(self, candidate, wanted)
        taken["wall"] = time.perf_counter() - wall
        taken["cpu"] = time.process_time() - cpu
        return results

    TrainingLab.evaluate = timed  # type: ignore[method-assign]
    samples, stop = list[float](), threading.Event()
    sampler = threading.Thread(target=_sample_memory, args=(samples, stop))
    sampler.start()
    try:
        result = await train_workflow(TrainParameters.model_validate(_request(cases)))
    finally:
        stop.set()
        sampler.join()
    assert result["cases"]["scored"] == cases, result["cases"]
    half = samples[len(samples) // 2 :]
    ideal = cases * seconds / AT_ONCE
    return {
        "ideal_s": ideal,
        "wall_s": taken["wall"],
        "of_ideal": ideal / taken["wall"],
        "cpu_s": taken["cpu"],
        "growth_mib": max(half) - half[0],
        "peak_mib": max(samples),
    }


def _measure(cases: int, seconds: float) -> dict[str, float]:
    with _standin(seconds) as address, tempfile.TemporaryDirectory() as home:
        env = os.environ | {
            "OPENAI_BASE_URL": address,
            "OPENAI_API_KEY": "bench",
            "CORNERMAN_HOME": home,
        }
        env.pop("PREFECT_API_URL", None)
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.loop", "--one", str(cases), str(seconds)],
            env=env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise SystemExit(done.stderr[-2_000:])
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Run the plans and print a table; exit 1 when one falls short."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=2, metavar=("CASES", "SECONDS"))
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(asyncio.run(_run(int(chosen.one[0]), float(chosen.one[1])))))
        return
    print("cases  each   ideal    wall  of ideal  at least     CPU  growth in 2nd half   peak")
    short = False
    for cases, seconds, least in PLANS:
        found = _measure(cases, seconds)
        short |= found["of_ideal"] < least
        print(
            f"{cases:5d} {seconds:4.1f}s {found['ideal_s']:6.1f}s {found['wall_s']:6.2f}s "
            f"{found['of_ideal']:9.3f} {least:9.2f} {found['cpu_s']:6.2f}s "
            f"{found['growth_mib']:15.1f} MiB {found['peak_mib']:5.0f} MiB",
            flush=True,
        )
    sys.exit(1 if short else 0)


if __name__ == "__main__":
    main()
