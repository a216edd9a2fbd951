"""What so many battles an hour need, by formula. `design/scale.md` tells it in words.

A batch is a closed network: its battles circulate between the provider, where each waits for its
own answer, and three servers that take one at a time: the flow's process, the Prefect server and
the database's writer. Mean value analysis (Reiser and Lavenberg, 1980) gives the time of a round.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import Any

from tests.bench.scale_costs import Cost

MOST_BATTLES = 10
SHORTEST_PERIOD_SECONDS = 60.0


@dataclass(frozen=True)
class Provider:
    """What the model endpoint does: assumed, for nobody can measure yours.

    Args:
        call_seconds: Mean time of a call.
        spread: Standard deviation of a call's logarithm (log-normal times).
        requests_per_minute: The account's limit, and as many at once after a quiet minute.
        tokens_per_minute: Likewise.
    """

    call_seconds: float = 1.5
    spread: float = 0.5
    requests_per_minute: float = math.inf
    tokens_per_minute: float = math.inf


@dataclass(frozen=True)
class Setup:
    """Installations alike, each with a database, a Prefect server and a worker of its own.

    Args:
        batch: Battles of each batch.
        period_s: From one slot of the schedule to the next.
        at_once: MAX_CONCURRENT_BATTLES.
        delay_s: DELAY_BETWEEN_BATTLES_MS.
    """

    installations: int
    batch: int
    period_s: float
    at_once: int = MOST_BATTLES
    delay_s: float = 0.0

    @property
    def asked_per_hour(self) -> float:
        """Battles an hour when every slot is used."""
        return self.installations * self.batch * 3600 / self.period_s


def setup_for(battles_per_hour: float) -> Setup:
    """The fewest installations that may hold so many: cron has minutes, a batch ten battles."""
    most = MOST_BATTLES * 3600 / SHORTEST_PERIOD_SECONDS
    installations = math.ceil(battles_per_hour / most)
    each = battles_per_hour / installations
    if each <= MOST_BATTLES:
        # The default and below: five battles at a time, or one an hour.
        batch = 5 if each >= 10 else 1
        return Setup(installations, batch, batch * 3600 / each, at_once=3, delay_s=1.0)
    minutes = max(1, math.floor(MOST_BATTLES * 60 / each))
    return Setup(installations, math.ceil(each * minutes / 60), minutes * 60.0)


@dataclass(frozen=True)
class Outcome:
    """What came of a setup, by formula or by simulation. Shares are of the time, over all.

    Args:
        in_flight: Battles at once, on average.
        batch_s: From a slot to its batch's end.
        writer, process, server: How busy an installation's are.
        provider: Share of the account's tighter limit that is used.
        refused: Share of the slots that met a batch still running.
    """

    battles_per_hour: float
    in_flight: float
    battle_s: float
    batch_s: float
    writer: float
    process: float
    server: float
    provider: float
    refused: float


def stations(cost: Cost) -> dict[str, float]:
    """Seconds that each server works for one call; a battle's other writes are spread over them."""
    unit = cost.unit
    return {
        "process": unit.worker_cpu_s / unit.calls,
        "server": unit.server_cpu_s / unit.calls,
        "writer": cost.writes * cost.write_ms / 1000 / unit.calls,
    }


def round_seconds(service: dict[str, float], think: float, customers: int) -> float:
    """Mean time of a call with so many battles at once, by mean value analysis."""
    waiting = dict.fromkeys(service, 0.0)
    total = think
    for number in range(1, customers + 1):
        times = {name: need * (1 + waiting[name]) for name, need in service.items()}
        total = think + sum(times.values())
        waiting = {name: number / total * time for name, time in times.items()}
    return total


def makespan(setup: Setup, battle_s: float) -> float:
    """Time of a batch whose battles all take the same."""
    ends, start, last = list[float](), 0.0, 0.0
    for _ in range(setup.batch):
        if len(ends) >= setup.at_once:
            start = max(start, heapq.heappop(ends))
        last = start + battle_s
        heapq.heappush(ends, last)
        start += setup.delay_s
    return last


def battle_times(mean_s: float, deviation_s: float) -> Any:
    """The distribution of a battle's time: the log-normal one with this mean and deviation."""
    from scipy.stats import lognorm

    variance = math.log1p((deviation_s / mean_s) ** 2)
    return lognorm(s=math.sqrt(variance), scale=mean_s * math.exp(-variance / 2))


def longest_mean(times: Any, battles: int) -> float:
    """Mean time of the slowest of so many battles: the integral of its quantiles."""
    from scipy.integrate import quad

    return float(quad(lambda share: times.ppf(share ** (1 / battles)), 0, 1)[0])


def slots_taken(times: Any, battles: int, before_s: float, period_s: float) -> float:
    """Slots of the schedule that a batch takes on average: one, and each that it overruns."""
    taken, number = 1.0, 1
    while (left := number * period_s - before_s) < times.ppf(1 - 1e-9):
        taken += 1 - float(times.cdf(left)) ** battles
        number += 1
    return taken


def predict(setup: Setup, cost: Cost, provider: Provider) -> Outcome:
    """What a setup comes to, by formula."""
    unit, service = cost.unit, stations(cost)
    customers = min(setup.batch, setup.at_once)
    battle_s = unit.calls * round_seconds(service, provider.call_seconds, customers)
    deviation = provider.call_seconds * math.sqrt(math.expm1(provider.spread**2) * unit.calls)
    times = battle_times(battle_s, deviation)
    before = cost.run_s + makespan(setup, battle_s) - battle_s
    batch_s = before + longest_mean(times, customers)
    per_hour = setup.asked_per_hour / slots_taken(times, customers, before, setup.period_s)
    wanted = provider_share(per_hour, cost, provider)
    if wanted > 1:
        # Every installation has a batch that waits for the account; Little's law gives the time.
        per_hour /= wanted
        battle_s = setup.installations * setup.batch * 3600 / per_hour
        batch_s = cost.run_s + battle_s
    each = per_hour / setup.installations / 3600
    run_cpu = cost.run.worker_cpu_s / setup.batch
    return Outcome(
        battles_per_hour=per_hour,
        in_flight=per_hour / 3600 * battle_s,
        battle_s=battle_s,
        batch_s=batch_s,
        writer=each * unit.calls * service["writer"],
        process=each * (unit.worker_cpu_s + run_cpu),
        server=each * (unit.server_cpu_s + cost.run.server_cpu_s / setup.batch),
        provider=min(1.0, wanted),
        refused=1 - per_hour / setup.asked_per_hour,
    )


def provider_share(battles_per_hour: float, cost: Cost, provider: Provider) -> float:
    """What so many battles want of the account's tighter limit."""
    unit, each = cost.unit, battles_per_hour / 60
    tokens = unit.input_tokens + unit.output_tokens
    return max(
        each * unit.calls / provider.requests_per_minute, each * tokens / provider.tokens_per_minute
    )
