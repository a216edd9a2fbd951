"""The same as `scale_model`, by simulating each call, write and slot of the schedule.

Nothing of the model's formulas is used: batches start at their slots or are refused, battles wait
for a place, calls for the account's limits, and the three servers take one piece at a time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Generator
from typing import Any

import simpy

from tests.bench.scale_costs import Cost
from tests.bench.scale_model import Outcome, Provider, Setup, stations

Steps = Generator[Any, Any, Any]
_REFILL_SECONDS = 1.0


class Account:
    """The provider's limits: buckets of requests and tokens, refilled each second."""

    def __init__(self, env: simpy.Environment, provider: Provider, rng: random.Random) -> None:
        self._env, self._provider, self._rng = env, provider, rng
        limits = (provider.requests_per_minute, provider.tokens_per_minute)
        self._buckets = [
            None if math.isinf(limit) else simpy.Container(env, capacity=limit, init=limit)
            for limit in limits
        ]
        self._used = [0.0, 0.0]
        for bucket in self._buckets:
            if bucket is not None:
                env.process(self._refill(bucket))

    def _refill(self, bucket: simpy.Container) -> Steps:
        while True:
            yield self._env.timeout(_REFILL_SECONDS)
            room = min(bucket.capacity - bucket.level, bucket.capacity * _REFILL_SECONDS / 60)
            if room > 0:
                yield bucket.put(room)

    def call(self, tokens: float) -> Steps:
        """Wait for the limits, then for the answer."""
        for number, (bucket, amount) in enumerate(zip(self._buckets, (1, tokens), strict=True)):
            if bucket is not None:
                yield bucket.get(amount)
            self._used[number] += amount
        mean, spread = self._provider.call_seconds, self._provider.spread
        yield self._env.timeout(self._rng.lognormvariate(math.log(mean) - spread**2 / 2, spread))

    def share(self, seconds: float) -> float:
        """Share of the tighter limit that was used."""
        limits = (self._provider.requests_per_minute, self._provider.tokens_per_minute)
        used = zip(self._used, limits, strict=True)
        return max(amount / (limit * seconds / 60) for amount, limit in used)


class Server:
    """Takes one piece of work at a time, and knows how long it was busy."""

    def __init__(self, env: simpy.Environment) -> None:
        self._env, self._turn, self.busy_s = env, simpy.Resource(env), 0.0

    def work(self, seconds: float) -> Steps:
        with self._turn.request() as mine:
            yield mine
            yield self._env.timeout(seconds)
        self.busy_s += seconds


class Installation:
    """A database, a Prefect server and a worker, with a schedule of its own."""

    def __init__(
        self,
        env: simpy.Environment,
        setup: Setup,
        cost: Cost,
        account: Account,
        rng: random.Random,
    ) -> None:
        self._env, self._setup, self._cost, self._account = env, setup, cost, account
        self._rng = rng
        self._service = stations(cost)
        self.servers = {name: Server(env) for name in self._service}
        self.batch_s, self.battle_s = list[float](), list[float]()
        self.slots = self.refused = 0
        env.process(self._schedule())

    def _schedule(self) -> Steps:
        batch: simpy.Process | None = None
        while True:
            self.slots += 1
            if batch is not None and batch.is_alive:
                self.refused += 1
            else:
                batch = self._env.process(self._batch())
            yield self._env.timeout(self._setup.period_s)

    def _batch(self) -> Steps:
        began, run = self._env.now, self._cost.run
        # The process starts and ends: what it computes keeps its own servers busy.
        yield self._env.process(self.servers["process"].work(run.worker_cpu_s))
        yield self._env.process(self.servers["server"].work(run.server_cpu_s))
        rest = self._cost.run_s - run.worker_cpu_s - run.server_cpu_s
        yield self._env.timeout(max(0.0, rest))
        places = simpy.Resource(self._env, self._setup.at_once)
        battles = list[simpy.Process]()
        for _ in range(self._setup.batch):
            place = places.request()
            yield place
            battles.append(self._env.process(self._battle(places, place)))
            yield self._env.timeout(self._setup.delay_s)
        yield simpy.AllOf(self._env, battles)
        self.batch_s.append(self._env.now - began)

    def _battle(self, places: simpy.Resource, place: Any) -> Steps:
        began, unit = self._env.now, self._cost.unit
        tokens = (unit.input_tokens + unit.output_tokens) / unit.calls
        whole = math.floor(unit.calls)
        for _ in range(whole + (self._rng.random() < unit.calls - whole)):
            yield from self._account.call(tokens)
            for name, seconds in self._service.items():
                yield from self.servers[name].work(seconds)
        places.release(place)
        self.battle_s.append(self._env.now - began)


def simulate(
    setup: Setup, cost: Cost, provider: Provider, *, slots: int = 60, seed: int = 1
) -> Outcome:
    """Let the installations run for so many slots of their schedules and count."""
    env, rng = simpy.Environment(), random.Random(seed)
    account = Account(env, provider, rng)
    sites = [Installation(env, setup, cost, account, rng) for _ in range(setup.installations)]
    seconds = slots * setup.period_s
    # Just before the next slot, which would count and have no time to be used.
    env.run(until=seconds - 1e-6)
    battles = [one for site in sites for one in site.battle_s]
    batches = [one for site in sites for one in site.batch_s]

    def busy(name: str) -> float:
        return sum(site.servers[name].busy_s for site in sites) / len(sites) / seconds

    return Outcome(
        battles_per_hour=len(battles) * 3600 / seconds,
        in_flight=sum(battles) / seconds,
        battle_s=sum(battles) / max(1, len(battles)),
        batch_s=sum(batches) / max(1, len(batches)),
        writer=busy("writer"),
        process=busy("process"),
        server=busy("server"),
        provider=account.share(seconds),
        refused=sum(site.refused for site in sites) / sum(site.slots for site in sites),
    )
