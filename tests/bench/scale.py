"""`make bench-scale`: 10,000 cases in one run, and 1 to 10,000 battles an hour on paper.

First the same training is run with 100 and with 10,000 cases of 50 ms: memory must stay flat, and
a case must not get dearer. Then the costs of battles and cases are measured on SQLite and on
PostgreSQL, and the model of `design/scale.md` is compared with a simulation that uses them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench.scale_costs import Cost, Costs, Used, measure
from tests.bench.scale_model import Outcome, Provider, predict, setup_for
from tests.bench.scale_simulation import simulate
from tests.bench.training_load import run_apart

FEW, MANY, SECONDS = 100, 10_000, 0.05
# Of few cases, whose time is short, the median of so many runs counts.
FEW_RUNS = 3
MOST_DEARER = 1.2
# Beside what a run must know of each case (its inputs, its output and its scores), all in all.
MOST_GROWTH_MIB = 25.0
# The most by which formula and simulation may differ, in the figures that one plans with.
MOST_APART = 0.15
PLANNED_WITH = ("battles_per_hour", "in_flight", "battle_s", "batch_s")

SMALL_ACCOUNT = Provider(requests_per_minute=500, tokens_per_minute=200_000)
PLANS = (
    *((rate, Provider()) for rate in (1, 10, 100, 600, 1_000, 10_000)),
    (600, Provider(call_seconds=4.0)),
    (10_000, SMALL_ACCOUNT),
)
KINDS = ("sqlite", "postgresql")


def compare_cases(many: int) -> bool:
    """Print what few and many cases cost; whether memory stayed flat and the price the same."""
    few = [run_apart(FEW, SECONDS, rests=True) for _ in range(FEW_RUNS)]
    base = {key: statistics.median(run[key] for run in few) for key in few[0]}
    found = run_apart(many, SECONDS, rests=True)
    print(" cases     wall   a case      CPU   a case   server   a case  growth   peak  server's")
    for count, run in ((FEW, base), (many, found)):
        times = "".join(
            f"{run[key]:8.1f}s {1000 * run[key] / count:6.1f}ms"
            for key in ("wall_s", "cpu_s", "children_cpu_s")
        )
        print(
            f"{count:6d} {times} {run['growth_mib']:5.1f}M {run['peak_mib']:5.0f}M "
            f"{run['children_growth_mib']:+5.1f}M {run['children_peak_mib']:.0f}M",
            flush=True,
        )
    dearer = {
        key: found[key] / many / (base[key] / FEW) for key in ("wall_s", "cpu_s", "children_cpu_s")
    }
    print("dearer at many:", {key: round(value, 2) for key, value in dearer.items()}, flush=True)
    is_flat = found["growth_mib"] <= MOST_GROWTH_MIB
    return is_flat and max(dearer.values()) <= MOST_DEARER


def print_costs(kind: str, costs: Costs) -> None:
    """A table: what a battle, a batch, a case and a training add."""
    columns = {
        "battle": costs.battle.unit,
        "batch": costs.battle.run,
        "case": costs.case.unit,
        "training": costs.case.run,
    }
    print(f"\n| {kind} | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name in Used.__dataclass_fields__:
        cells = (f"{getattr(used, name):,.4g}" for used in columns.values())
        print(f"| {name} | {' | '.join(cells)} |")
    for name in ("writes", "write_ms"):
        print(
            f"| {name} | {getattr(costs.battle, name):.3g} | | {getattr(costs.case, name):.3g} | |"
        )
    print(f"left after pruning: {costs.kept_rows:.1%} of rows, {costs.kept_bytes:.1%} of bytes")


def compare_plans(cost: Cost) -> bool:
    """A table: the model's figure and the simulation's; whether they agree."""
    names = list(Outcome.__dataclass_fields__)
    print(f"\n| battles/h | call | installations | {' | '.join(names)} |")
    print(f"|{'---|' * (3 + len(names))}")
    agree = True
    for rate, provider in PLANS:
        setup = setup_for(rate)
        said, seen = predict(setup, cost, provider), simulate(setup, cost, provider)
        cells = [f"{getattr(said, n):.3g} / {getattr(seen, n):.3g}" for n in names]
        limited = "" if provider.requests_per_minute == float("inf") else ", small account"
        print(
            f"| {rate:,} | {provider.call_seconds:g} s{limited} | {setup.installations} | "
            f"{' | '.join(cells)} |",
            flush=True,
        )
        # Where the account is the limit, only what comes through it can be planned with.
        planned = PLANNED_WITH[:1] if limited else PLANNED_WITH
        agree &= all(_near(getattr(said, n), getattr(seen, n)) for n in planned)
    return agree


def _near(said: float, seen: float) -> bool:
    return abs(said - seen) <= MOST_APART * max(abs(seen), 1e-9)


def _costs(path: Path | None) -> dict[str, Costs]:
    """Measure, or read what was measured before."""
    if path is not None and path.exists():
        return {kind: _read(found) for kind, found in json.loads(path.read_text()).items()}
    costs = {kind: measure(kind) for kind in KINDS}
    if path is not None:
        path.write_text(json.dumps({kind: asdict(found) for kind, found in costs.items()}))
    return costs


def _read(found: dict[str, Any]) -> Costs:
    parts = {
        name: Cost(
            **found[name] | {"unit": Used(**found[name]["unit"]), "run": Used(**found[name]["run"])}
        )
        for name in ("battle", "case")
    }
    return Costs(**found | parts)


def main() -> None:
    """Do it all, or one part; exit 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["cases", "battles"])
    parser.add_argument("--cases", type=int, default=MANY, help="How many are many.")
    parser.add_argument("--costs", type=Path, help="File to keep measured costs in, and to use.")
    given = parser.parse_args()
    met = True
    if given.only != "battles":
        met &= compare_cases(given.cases)
    if given.only != "cases":
        costs = _costs(given.costs)
        for kind, found in costs.items():
            print_costs(kind, found)
        met &= compare_plans(costs["postgresql"].battle)
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
