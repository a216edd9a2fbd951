"""One search of the optimizers' bench: a strategy on a landscape, and how good it was when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

from cornerman.domain.datasets import SplitOptions
from cornerman.domain.datasets.load import split_cases
from cornerman.domain.seeds import derived_seed
from cornerman.domain.training.candidates import Candidate, Prompts
from cornerman.domain.training.cases import Case
from cornerman.domain.training.optimizer import Optimizer
from cornerman.domain.training.options import OptimizerOptions
from cornerman.optimizers.gepa import GepaOptimizer
from cornerman.optimizers.reflective import Reflective
from cornerman.optimizers.textual_gradient import TextualGradient
from tests.bench.desk_world import DeskWorld, desk_cases, desk_prompts
from tests.bench.memory_lab import MemoryLab, OutOfCallsError, World
from tests.bench.rehearsal_world import RehearsalWorld, example, starting_prompts
from tests.bench.report_world import ReportWorld, report_cases, report_prompts

LANDSCAPES = ("triage", "extraction", "stock", "reports", "desk")
STRATEGIES: dict[str, Callable[[], Optimizer]] = {
    "reflective": Reflective,
    "gepa": GepaOptimizer,
    "gepa alone": GepaOptimizer,
    "textual_gradient": TextualGradient,
}
# The same without what traces tell; only the landscape `desk` has traces.
BLIND = ", no traces"
BLIND_STRATEGIES = (f"reflective{BLIND}", f"gepa{BLIND}")
TRACED = "desk"
# Of 120 cases: few to learn from, as people have, and many to tell the truth.
SPLIT = {"train": 0.2, "validation": 0.14, "test": 0.66}
# A search that spends nothing in so many rounds has nothing left to find.
_IDLE_ROUNDS = 60


@dataclass(frozen=True)
class Search:
    """What to run; equal searches have equal outcomes."""

    strategy: str
    landscape: str
    noisy: bool
    seed: int
    budgets: tuple[int, ...]


def run_search(search: Search) -> list[float]:
    """Test score of the best validated candidate at each budget of model calls."""
    world, cases, prompts = _landscape(search)
    split = split_cases(cases, SplitOptions(**SPLIT, seed=search.seed))
    options = OptimizerOptions(seed=search.seed)
    lab = MemoryLab(
        world,
        split,
        prompts,
        options,
        max_calls=search.budgets[-1],
        with_traces=not search.strategy.endswith(BLIND),
    )
    asyncio.run(_run(lab, search))
    tested: dict[str, float] = {}
    scores: list[float] = []
    for budget in search.budgets:
        best = best_within(lab, budget)
        if best.id not in tested:
            tested[best.id] = score_on_test(world, best, lab.test)
        scores.append(tested[best.id])
    return scores


def _landscape(search: Search) -> tuple[World, tuple[Case, ...], Prompts]:
    if search.landscape == "reports":
        return ReportWorld(search.seed, search.noisy), report_cases(), report_prompts()
    if search.landscape == TRACED:
        return DeskWorld(search.seed, search.noisy), desk_cases(), desk_prompts()
    cases, text = example(search.landscape)
    world = RehearsalWorld(search.seed, temperature=1.0 if search.noisy else 0.0)
    return world, cases, starting_prompts(text)


async def _run(lab: MemoryLab, search: Search) -> None:
    optimizer = STRATEGIES[search.strategy.removesuffix(BLIND)]()
    try:
        # By itself, gepa would not run the starting prompts on all of train.
        await lab.score_start(with_train=search.strategy != "gepa alone")
        idle = 0
        while idle < _IDLE_ROUNDS:
            before = lab.calls
            await lab.next_round(optimizer)
            idle = idle + 1 if lab.calls == before else 0
    except OutOfCallsError:
        pass


def best_within(lab: MemoryLab, budget: int) -> Candidate:
    """The accepted candidate with the best validation score by then; ties: the earlier one."""
    best, best_score = lab.start, -1.0
    for decision in lab.decisions:
        if decision.accepted and decision.calls <= budget:
            score = lab.validation_score(decision.candidate)
            if score is not None and score > best_score:
                best, best_score = decision.candidate, score
    return best


def score_on_test(world: World, candidate: Candidate, cases: tuple[Case, ...]) -> float:
    """Mean score on cases that no search saw."""
    return fmean(
        world.score(case, world.answer(candidate.prompts, case, derived_seed(case.index))).value
        for case in cases
    )
