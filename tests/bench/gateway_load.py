"""What is done to a gateway under load, and what came of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import psutil

from cornerman.domain.runs import NewEvent
from cornerman.storage import events
from cornerman.storage.database import Database

LIVE = "live"
PARTS = ("requests", "streams", "memory")
STREAMS = 100
REQUESTS_PER_SECOND = 200
EVENTS_PER_SECOND = 5
MOST_P99_MS = 100.0
MOST_LAG_SECONDS = 1.0
# A process that has warmed up may grow by so much in the rest of the run, and no more.
MOST_GROWTH_MB = 25.0
_LIST = "/api/workflows/bench/agentensor/checkpoints?limit=20"
_WARM_UP_SECONDS = 3.0
# As long as a case's event is.
_OUTPUT = "The parcel was late, so a refund is due. " * 20


@dataclass(frozen=True)
class Target:
    """One target and whether it was met."""

    name: str
    text: str
    met: bool

    def line(self) -> str:
        return f"{'pass' if self.met else 'FAIL'}  {self.text}"


class Load:
    """Loads one gateway with the chosen parts; memory alone is measured under both others."""

    def __init__(
        self,
        base: str,
        headers: Mapping[str, str],
        process: psutil.Process,
        db: Database,
        seconds: float,
        parts: set[str],
    ) -> None:
        self._base = base
        self._headers = dict(headers)
        self._process = process
        self._db = db
        self._seconds = seconds
        self._parts = parts
        self._asks = bool(parts & {"requests", "memory"})
        self._streams = bool(parts & {"streams", "memory"})
        self._reset()

    def _reset(self) -> None:
        self._ends_at = float("inf")
        self._latencies_ms: list[float] = []
        self._lags: list[float] = []
        self._memory_mb: list[float] = []
        self._failures: list[str] = []
        self._written = 0

    async def warm_up(self) -> None:
        """Do it all for a moment and forget what came of it."""
        await self.run(_WARM_UP_SECONDS)
        self._reset()

    async def run(self, seconds: float | None = None) -> None:
        """Do everything at once until the time is up."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            self._base, headers=self._headers, connector=connector
        ) as http:
            follow = [self._follow(http) for _ in range(STREAMS)] if self._streams else []
            streams = [asyncio.create_task(one) for one in follow]
            self._ends_at = time.monotonic() + (seconds or self._seconds)
            ask, write = self._ask(http), self._write()
            await asyncio.gather(ask, write, self._watch_memory())
            await asyncio.sleep(MOST_LAG_SECONDS)  # the last events are still on their way
            for stream in streams:
                stream.cancel()
            await asyncio.gather(*streams, return_exceptions=True)

    @property
    def _on(self) -> bool:
        return time.monotonic() < self._ends_at

    async def _ask(self, http: aiohttp.ClientSession) -> None:
        """An open loop: requests start at their time, whether earlier ones were answered or not."""
        asked: set[asyncio.Task[None]] = set()
        next_at = time.monotonic()
        while self._on and self._asks:
            task = asyncio.create_task(self._ask_once(http, next_at))
            asked.add(task)
            task.add_done_callback(asked.discard)
            next_at += 1 / REQUESTS_PER_SECOND
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))
        await asyncio.gather(*asked, return_exceptions=True)

    async def _ask_once(self, http: aiohttp.ClientSession, due: float) -> None:
        try:
            async with http.get(_LIST) as answer:
                await answer.read()
                if answer.status != 200:
                    self._failures.append(f"status {answer.status}")
        except (aiohttp.ClientError, TimeoutError) as error:
            self._failures.append(repr(error))
        # From when it was due, so that a stall shows in every request that it delayed.
        self._latencies_ms.append((time.monotonic() - due) * 1000)

    async def _write(self) -> None:
        while self._on and self._streams:
            case = {"case_id": str(self._written), "output": _OUTPUT, "at": time.time()}
            event = NewEvent("agentensor_trainer", "training_progress", case)
            await self._db.write(events.create_event, LIVE, event)
            self._written += 1
            await asyncio.sleep(1 / EVENTS_PER_SECOND)

    async def _follow(self, http: aiohttp.ClientSession) -> None:
        begun = time.time()
        headers = {"Accept": "text/event-stream"}
        path = f"/api/runs/{LIVE}/events"
        async with http.get(path, headers=headers, timeout=None) as answer:
            async for payload in _payloads(answer):
                # What was written before this reader came is no lag of its.
                if payload["at"] >= begun:
                    self._lags.append(time.time() - payload["at"])

    async def _watch_memory(self) -> None:
        while self._on:
            self._memory_mb.append(self._process.memory_info().rss / 1e6)
            await asyncio.sleep(1.0)

    def figures(self) -> dict[str, Any]:
        """What was measured."""
        warm = self._memory_mb[len(self._memory_mb) // 5 :]
        tenth = max(1, len(warm) // 10)
        found: dict[str, Any] = {
            "seconds": self._seconds,
            "memory_mb": [round(_mean(warm[:tenth]), 1), round(_mean(warm[-tenth:]), 1)],
        }
        if self._asks:
            found |= {
                "requests": len(self._latencies_ms),
                "failures": self._failures[:5],
                "p50_ms": _quantile(self._latencies_ms, 0.50),
                "p99_ms": _quantile(self._latencies_ms, 0.99),
            }
        if self._streams:
            found |= {
                "streams": STREAMS,
                "events_written": self._written,
                "events_received": len(self._lags),
                "lag_p50_s": _quantile(self._lags, 0.50),
                "lag_max_s": _quantile(self._lags, 1.0),
            }
        return found

    def targets(self, figures: Mapping[str, Any]) -> list[Target]:
        """The targets of the chosen parts."""
        found = list[Target]()
        if "requests" in self._parts:
            found += self._of_requests(figures)
        if "streams" in self._parts:
            found += self._of_streams(figures)
        if "memory" in self._parts:
            first, last = figures["memory_mb"]
            text = f"memory {first} MB, then {last} MB; may grow by {MOST_GROWTH_MB:g} MB"
            found.append(Target("memory", text, last - first <= MOST_GROWTH_MB))
        return found

    def _of_requests(self, figures: Mapping[str, Any]) -> list[Target]:
        rate = figures["requests"] / self._seconds
        p99, failed = figures["p99_ms"], len(self._failures)
        return [
            Target(
                "rate",
                f"{rate:.1f} requests/s on the checkpoints list; {REQUESTS_PER_SECOND} asked for",
                rate >= 0.99 * REQUESTS_PER_SECOND,
            ),
            Target("failures", f"{failed} failed requests; none may", failed == 0),
            Target("p99", f"p99 {p99} ms; under {MOST_P99_MS:g} ms", p99 < MOST_P99_MS),
        ]

    def _of_streams(self, figures: Mapping[str, Any]) -> list[Target]:
        lag, came = figures["lag_max_s"], figures["events_received"]
        due = figures["events_written"] * STREAMS
        said = f"longest lag {lag} s on {STREAMS} streams; under {MOST_LAG_SECONDS:g} s"
        return [
            Target("lag", said, lag < MOST_LAG_SECONDS),
            # The first event may be written before the last stream is open.
            Target("events", f"{came} of {due} events came", due > 0 and came >= 0.98 * due),
        ]


async def _payloads(answer: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    async for line in answer.content:
        if line.startswith(b"data: "):
            yield json.loads(line[6:])["payload"]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else float("inf")


def _quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return round(ordered[int(share * (len(ordered) - 1))], 3) if ordered else float("inf")
