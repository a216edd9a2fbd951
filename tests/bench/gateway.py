"""Load the gateway: `make bench-gateway`, or `python -m tests.bench.gateway --minutes 1`.

Serves a SQLite database with 10,000 checkpoints from a process of its own and measures, at once:
200 requests/s on the checkpoints list, 100 live streams of a run whose events are being written,
and the process's memory. It prints one JSON document and fails when a target is missed.
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
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from cornerman.domain.checkpoints import NewCheckpoint
from cornerman.domain.runs import NewEvent
from storage import checkpoints, events, runs, workflows
from storage.engine import Database
from storage.migrate import upgrade
from tests.support.ports import free_port

CHECKPOINTS = 10_000
STREAMS = 100
REQUESTS_PER_SECOND = 200
EVENTS_PER_SECOND = 5
HEADERS = {"Authorization": "Bearer bench-token"}
MOST_P99_MS = 100.0
MOST_LAG_SECONDS = 1.0
# A process that has warmed up may grow by so much in the rest of the run, and no more.
MOST_GROWTH_MB = 25.0


def fill(db: Database) -> None:
    """Store the checkpoints and a run that goes on."""
    prompt = {"text": "You answer in one word. " * 20, "requires_grad": True}
    with db.writing() as session:
        workflows.create_workflow(session, "bench")
        for n in range(CHECKPOINTS):
            new = NewCheckpoint(
                id=f"c{n}",
                workflow_id="bench",
                runnable_config={"prompts": {"system": prompt}},
                metrics={"validation_score": n / CHECKPOINTS, "cases": {"scored": 30}},
                metadata={"run_id": f"r{n // 10}", "epoch": n % 10, "dataset_fingerprint": "f"},
            )
            checkpoints.create_checkpoint(session, new)
        runs.create_run(
            session,
            run_id="live",
            kind="train",
            workflow_id="bench",
            request={},
            random_state={},
            simulated=True,
        )
        runs.claim_run(session, "live", "bench:1:x")


@contextlib.contextmanager
def served(home: Path, url: str) -> Iterator[tuple[str, psutil.Process]]:
    """The gateway in a process of its own."""
    port = free_port()
    env = {
        "CORNERMAN_HOME": str(home),
        "USE_LOCAL_DB": "true",
        "LOCAL_DB_URL": url,
        "API_TOKEN": "bench-token",
    }
    code = f"from cornerman.gateway import serve; serve(port={port})"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | env,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


class Load:
    """What is done to one gateway, and what came of it."""

    def __init__(self, base: str, process: psutil.Process, db: Database, seconds: float) -> None:
        self.base = base
        self.process = process
        self.db = db
        self.ends_at = time.monotonic() + seconds
        self.latencies_ms: list[float] = []
        self.lags: list[float] = []
        self.memory_mb: list[float] = []
        self.failures: list[str] = []

    @property
    def on(self) -> bool:
        return time.monotonic() < self.ends_at

    async def run(self) -> None:
        """Do everything at once until the time is up."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(self.base, headers=HEADERS, connector=connector) as http:
            streams = [asyncio.create_task(self._follow(http)) for _ in range(STREAMS)]
            await asyncio.gather(self._ask(http), self._write(), self._watch_memory())
            for stream in streams:
                stream.cancel()
            await asyncio.gather(*streams, return_exceptions=True)

    async def _ask(self, http: aiohttp.ClientSession) -> None:
        """An open loop: requests start at their time, whether earlier ones were answered or not."""
        asked: set[asyncio.Task[None]] = set()
        next_at = time.monotonic()
        while self.on:
            task = asyncio.create_task(self._ask_once(http, next_at))
            asked.add(task)
            task.add_done_callback(asked.discard)
            next_at += 1 / REQUESTS_PER_SECOND
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))
        await asyncio.gather(*asked, return_exceptions=True)

    async def _ask_once(self, http: aiohttp.ClientSession, due: float) -> None:
        path = "/api/workflows/bench/agentensor/checkpoints?limit=20"
        try:
            async with http.get(path) as answer:
                await answer.read()
                if answer.status != 200:
                    self.failures.append(f"status {answer.status}")
        except aiohttp.ClientError as error:
            self.failures.append(repr(error))
        # From when it was due, so that a stall shows in every request that it delayed.
        self.latencies_ms.append((time.monotonic() - due) * 1000)

    async def _write(self) -> None:
        while self.on:
            event = NewEvent("agentensor_trainer", "training_progress", {"at": time.time()})
            await self.db.write(events.create_event, "live", event)
            await asyncio.sleep(1 / EVENTS_PER_SECOND)

    async def _follow(self, http: aiohttp.ClientSession) -> None:
        headers = {"Accept": "text/event-stream"}
        async with http.get("/api/runs/live/events", headers=headers, timeout=None) as answer:
            async for payload in _payloads(answer):
                self.lags.append(time.time() - payload["at"])

    async def _watch_memory(self) -> None:
        while self.on:
            self.memory_mb.append(self.process.memory_info().rss / 1e6)
            await asyncio.sleep(1.0)

    def report(self) -> dict[str, Any]:
        """The figures, and which targets they miss."""
        warm = self.memory_mb[len(self.memory_mb) // 5 :] or [0.0]
        figures = {
            "requests": len(self.latencies_ms),
            "failures": self.failures[:5],
            "p50_ms": _quantile(self.latencies_ms, 0.50),
            "p99_ms": _quantile(self.latencies_ms, 0.99),
            "streams": STREAMS,
            "events_received": len(self.lags),
            "lag_p50_s": _quantile(self.lags, 0.50),
            "lag_max_s": max(self.lags, default=float("inf")),
            "memory_mb": [round(warm[0], 1), round(warm[-1], 1)],
        }
        missed = {
            "failures": bool(self.failures),
            "p99_ms": figures["p99_ms"] >= MOST_P99_MS,
            "lag_max_s": figures["lag_max_s"] >= MOST_LAG_SECONDS,
            "memory_mb": warm[-1] - warm[0] > MOST_GROWTH_MB,
        }
        return figures | {"missed": [name for name, is_missed in missed.items() if is_missed]}


async def _payloads(answer: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    async for line in answer.content:
        if line.startswith(b"data: "):
            yield json.loads(line[6:])["payload"]


def _quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return round(ordered[int(share * (len(ordered) - 1))], 3) if ordered else float("inf")


async def _until_up(base: str) -> None:
    async with aiohttp.ClientSession() as http:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(f"{base}/healthz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)


async def measure(minutes: float) -> dict[str, Any]:
    """Set everything up, load it and report."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/bench.db"
        db = Database(url)
        upgrade(db)
        fill(db)
        with served(Path(folder), url) as (base, process):
            await asyncio.wait_for(_until_up(base), 60)
            load = Load(base, process, db, minutes * 60)
            await load.run()
        db.close()
        return load.report()


def main() -> int:
    """Measure, print, and tell by the exit code whether the targets were met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    report = asyncio.run(measure(parser.parse_args().minutes))
    print(json.dumps(report, indent=2))
    return 1 if report["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
