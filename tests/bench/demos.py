"""`python -m tests.bench.demos`: text, demonstrations and both on the simulated landscapes.

Their rules can be stated in a text, and each demonstration teaches one half of the way. Prints
the table of docs/demonstrations.md.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ProcessPoolExecutor
from statistics import fmean

from cornerman.domain.datasets import SplitOptions
from cornerman.domain.datasets.load import split_cases
from cornerman.domain.training.optimizer import Optimizer
from cornerman.domain.training.options import OptimizerOptions
from cornerman.optimizers.few_shot import FewShot
from cornerman.optimizers.reflective import Reflective
from tests.bench.memory_lab import MemoryLab, OutOfCallsError
from tests.bench.rehearsal_world import RehearsalWorld, example, starting_prompts
from tests.bench.searches import SPLIT, best_within, score_on_test

BUDGETS = (100, 200, 400, 800)
SEEDS = range(1000, 1020)
_DEMOS = {"max": 8}
STRATEGIES: dict[str, dict[str, object]] = {
    "few_shot": {"strategy": "few_shot", "demos": _DEMOS},
    "reflective": {},
    "reflective, demonstrations too": {"demos": _DEMOS},
}


def search(strategy: str, landscape: str, seed: int) -> list[float]:
    """Test score of the best validated candidate at each budget."""
    cases, text = example(landscape)
    world = RehearsalWorld(seed, temperature=0.0)
    split = split_cases(cases, SplitOptions(**SPLIT, seed=seed))
    options = OptimizerOptions.model_validate({"seed": seed, **STRATEGIES[strategy]})
    lab = MemoryLab(world, split, starting_prompts(text), options, max_calls=BUDGETS[-1])
    asyncio.run(_run(lab, FewShot() if strategy == "few_shot" else Reflective()))
    return [score_on_test(world, best_within(lab, budget), lab.test) for budget in BUDGETS]


async def _run(lab: MemoryLab, optimizer: Optimizer) -> None:
    idle = 0
    try:
        await lab.score_start()
        while idle < 5:
            before = lab.calls
            await lab.next_round(optimizer)
            idle = idle + 1 if lab.calls == before else 0
    except OutOfCallsError:
        pass


def main() -> None:
    """Print the table."""
    heads = " | ".join(f"{budget} calls" for budget in BUDGETS)
    print(f"| landscape | strategy | {heads} |\n|---|---|{'---|' * len(BUDGETS)}")
    with ProcessPoolExecutor() as pool:
        for landscape in ("triage", "extraction", "stock"):
            for strategy in STRATEGIES:
                jobs = [pool.submit(search, strategy, landscape, seed) for seed in SEEDS]
                columns = zip(*(job.result() for job in jobs), strict=True)
                cells = " | ".join(f"{fmean(column):.2f}" for column in columns)
                print(f"| {landscape} | {strategy} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
