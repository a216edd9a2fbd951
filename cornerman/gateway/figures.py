"""The gateway's figures for Prometheus: what the database holds, and how the gateway fares."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from cornerman.domain.money import pico_to_usd
from cornerman.storage.database import Database
from cornerman.storage.run_reads import Totals, read_totals

_FRESH_SECONDS = 3.0
_LAG_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 30.0)


class Figures:
    """Counts of this process, joined with totals of the database when they are asked for."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._totals: Totals | None = None
        self._read_at = 0.0
        self.requests = Counter(
            "cornerman_http_requests",
            "Requests by method and status class.",
            ["method", "status"],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "cornerman_http_request_seconds", "Time to answer.", registry=self.registry
        )
        self.streams = Gauge(
            "cornerman_streams", "Open live streams.", ["kind"], registry=self.registry
        )
        self._lag = Histogram(
            "cornerman_event_lag_seconds",
            "Time from an event's writing until the gateway has read it.",
            buckets=_LAG_BUCKETS,
            registry=self.registry,
        )
        # A collector is anything with `collect`; totals are read before each scrape.
        self.registry.register(_TotalsCollector(self))

    def saw_lag(self, seconds: float) -> None:
        """Note how late an event was read; clocks of two machines may differ a little."""
        self._lag.observe(max(0.0, seconds))

    @property
    def totals(self) -> Totals | None:
        """What the database held when it was last asked."""
        return self._totals

    async def text(self, db: Database) -> bytes:
        """The page of figures in Prometheus' text format."""
        if time.monotonic() - self._read_at > _FRESH_SECONDS:
            self._totals = await db.read(read_totals)
            self._read_at = time.monotonic()
        return generate_latest(self.registry)


class _TotalsCollector:
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        totals = self._figures.totals
        return [] if totals is None else list(_families(totals))


def _families(totals: Totals) -> Iterable[Metric]:
    runs = GaugeMetricFamily("cornerman_runs", "Runs.", labels=["kind", "status"])
    for (kind, status), count in totals.runs.items():
        runs.add_metric([kind, status], count)
    yield runs
    yield _by_label("cornerman_cases", "Case results.", "status", totals.cases)
    yield _by_label("cornerman_battles", "Battles.", "status", totals.battles)
    yield _by_label("cornerman_model_calls", "Model calls.", "role", totals.calls)
    cost = CounterMetricFamily("cornerman_cost_usd", "Spent on models.", labels=["simulated"])
    for simulated in (False, True):
        pico = totals.cost_pico.get(simulated, 0)
        cost.add_metric([str(simulated).lower()], pico_to_usd(pico))
    yield cost
    pending = sum(count for (_, status), count in totals.runs.items() if status == "pending")
    yield GaugeMetricFamily("cornerman_queue", "Runs that wait for a process.", value=pending)
    yield GaugeMetricFamily("cornerman_checkpoints", "Checkpoints.", value=totals.checkpoints)


def _by_label(name: str, text: str, label: str, counts: dict[str, int]) -> Any:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family
