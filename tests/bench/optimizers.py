"""`make bench-optimizers`: best test score against model calls spent, for each strategy.

ARGS=--quick takes three seeds and small budgets; ARGS=--write renews docs/optimizers.md and its
plot. It ends with 1 when `reflective` is worse than `gepa` at a budget of 100 calls or more.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from cornerman.domain.datasets import SplitOptions
from cornerman.domain.datasets.load import split_cases
from cornerman.domain.statistics import PairedInterval, mean_interval, paired_improvement
from cornerman.domain.training.options import OptimizerOptions
from tests.bench.rehearsal_world import example
from tests.bench.searches import (
    BLIND_STRATEGIES,
    LANDSCAPES,
    SPLIT,
    STRATEGIES,
    TRACED,
    Search,
    run_search,
)

DOCS = Path(__file__).resolve().parents[2] / "docs"
BUDGETS = (50, 100, 200, 400, 800)
SEEDS = 20
# The strategies were made while looking at seeds from 0; these none of them has seen.
FIRST_SEED = 1000
# Before it, `reflective` has not ended a round: an agent of three calls a case takes 123 to score
# the prompts that it started from, and a round 111.
FIRST_TELLING = {TRACED: 400}
# Scores by strategy, landscape, noise, seed and budget.
Scores = dict[tuple[str, str, bool, int, int], float]


class Bench:
    """The scores of all searches, and what they come to."""

    def __init__(self, scores: Scores, budgets: tuple[int, ...], seeds: int) -> None:
        self.scores = scores
        self.budgets = budgets
        self.seeds = seeds

    def pairs(
        self, strategy: str, budget: int, landscapes: tuple[str, ...], noises: tuple[bool, ...]
    ) -> dict[str, float]:
        """Scores by landscape, noise and seed, so that strategies are compared pair by pair."""
        return {
            f"{landscape}/{noisy}/{seed}": self.scores[strategy, landscape, noisy, seed, budget]
            for landscape in landscapes
            for noisy in noises
            for seed in range(FIRST_SEED, FIRST_SEED + self.seeds)
        }

    def lead(
        self,
        over: str,
        budget: int,
        landscapes: tuple[str, ...] = LANDSCAPES,
        noises: tuple[bool, ...] = (False, True),
    ) -> PairedInterval:
        """How far `reflective` is ahead of another strategy."""
        mine = self.pairs("reflective", budget, landscapes, noises)
        return paired_improvement(self.pairs(over, budget, landscapes, noises), mine)

    def shown_lead(self, over: str, budget: int, landscapes: tuple[str, ...] = LANDSCAPES) -> str:
        """The lead over everything, with its interval."""
        return _shown_lead(self.lead(over, budget, landscapes))

    def facts(self) -> dict[str, int]:
        """What the page says of the set-up."""
        cases, _ = example(LANDSCAPES[0])
        split = split_cases(cases, SplitOptions(**SPLIT))
        options = OptimizerOptions()
        return {
            "train": len(split.train),
            "validation": len(split.validation),
            "tests": len(split.test),
            "start": len(split.train) + len(split.validation),
            "proposals": options.proposals,
            "minibatch": options.minibatch_size,
        }

    def rows(self) -> list[str]:
        """The table, one line for each landscape, noise and strategy; then all together."""
        lines = [
            "| landscape | noise | strategy | " + " | ".join(f"{b} calls" for b in self.budgets),
            "|---|---|---|" + "---|" * len(self.budgets),
        ]
        lines[0] += " |"
        for landscape in LANDSCAPES:
            for noisy in (False, True):
                lines += self._group((landscape,), (noisy,), landscape, "on" if noisy else "off")
        return lines + self._group(LANDSCAPES, (False, True), "**all**", "both")

    def _group(
        self, landscapes: tuple[str, ...], noises: tuple[bool, ...], name: str, noise: str
    ) -> list[str]:
        lines: list[str] = []
        blind = BLIND_STRATEGIES if landscapes == (TRACED,) else ()
        for strategy in (*STRATEGIES, *blind):
            cells: list[str] = []
            for budget in self.budgets:
                values = list(self.pairs(strategy, budget, landscapes, noises).values())
                found = mean_interval(values)
                cells.append(f"{found.value:.2f} ({found.low:.2f}–{found.high:.2f})")
            lines.append(f"| {name} | {noise} | `{strategy}` | {' | '.join(cells)} |")
        for over in ("gepa", "gepa alone", *blind[:1]):
            leads = [self.lead(over, budget, landscapes, noises) for budget in self.budgets]
            cells = [_shown_lead(lead) for lead in leads]
            lines.append(f"| {name} | {noise} | lead over `{over}` | {' | '.join(cells)} |")
        return lines

    def faults(self) -> list[str]:
        """Where `reflective` is surely behind `gepa`; empty is what is wanted."""
        return [
            f"{landscape}, noise {'on' if noisy else 'off'}, {budget} calls: {lead.mean:+.3f}"
            for landscape in LANDSCAPES
            for noisy in (False, True)
            for budget in self.budgets
            if budget >= FIRST_TELLING.get(landscape, 100)
            if (lead := self.lead("gepa", budget, (landscape,), (noisy,))).high is not None
            and lead.high < 0
        ]


def _shown_lead(lead: PairedInterval) -> str:
    # No interval: scores that are the same pair by pair say nothing of what else could be.
    if lead.mean == 0 and lead.p_value == 1:
        return "0.00"
    return f"{lead.mean:+.2f} ({lead.low:+.2f} to {lead.high:+.2f})"


def run_bench(budgets: tuple[int, ...], seeds: int) -> Bench:
    """Run every search; all cores are used."""
    searches = [
        Search(strategy, landscape, noisy, seed, budgets)
        for landscape in LANDSCAPES
        for noisy in (False, True)
        for strategy in (*STRATEGIES, *(BLIND_STRATEGIES if landscape == TRACED else ()))
        for seed in range(FIRST_SEED, FIRST_SEED + seeds)
    ]
    scores: Scores = {}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for search, found in zip(searches, pool.map(run_search, searches), strict=True):
            for budget, score in zip(budgets, found, strict=True):
                key = (search.strategy, search.landscape, search.noisy, search.seed, budget)
                scores[key] = score
    return Bench(scores, budgets, seeds)


def main() -> int:
    """Run, print, and write the docs when asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 seeds, budgets up to 200")
    parser.add_argument("--write", action="store_true", help="renew docs/optimizers.md")
    options = parser.parse_args()
    started = time.monotonic()
    bench = run_bench(BUDGETS[:3], 3) if options.quick else run_bench(BUDGETS, SEEDS)
    print("\n".join(bench.rows()))
    print(f"\n{time.monotonic() - started:.0f} s")
    if options.write:
        # matplotlib takes a second to import, and is needed here alone.
        from tests.bench.optimizers_page import write_page

        write_page(bench, DOCS)
    faults = bench.faults()
    for fault in faults:
        print(f"reflective is behind gepa: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
