"""`make bench-real`: what learning from examples brings on a real model, against DSPy's.

SmolLM2-135M by llama.cpp on banking77 and BIG-Bench-Hard, at equal numbers of model calls; test
cases that no search saw. ARGS=--quick takes one seed, two tasks and 200 calls; ARGS=--write renews
docs/real-model.md and its picture. Answers and finished searches are kept in build/bench-real, so
that a bench that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

from cornerman.domain.training.candidates import Candidate
from cornerman.domain.training.optimizer import Lab, Optimizer, Round
from cornerman.domain.training.options import OptimizerOptions
from cornerman.domain.training.racing import mean_of
from cornerman.optimizers.demos import demonstrations, shown_prompt, with_demos
from cornerman.optimizers.feedback import known_scores
from cornerman.optimizers.few_shot import FewShot, best_of_pool
from cornerman.optimizers.reflective import Reflective
from tests.bench.memory_lab import MemoryLab, OutOfCallsError
from tests.bench.real_tasks import TASKS, Task, load_task
from tests.bench.real_world import Answers, RealWorld
from tests.support.real_model import model_file, served_model

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "build" / "bench-real"
BUDGETS = (200, 400, 800)
SEEDS = 5
DEMOS = 8
_IDLE_ROUNDS = 5


class BestOfRandom:
    """The simplest search: one plain random set a round, on every validation case."""

    async def round(self, lab: Lab, epoch: int) -> Round:
        pool = list((await demonstrations(lab, lab.pool)).values())
        rng, start = lab.rng(f"random/{epoch}"), lab.pool[0]
        drawn = tuple(rng.sample(pool, min(lab.options.most_demos, len(pool))))
        prompts = with_demos(start.prompts, shown_prompt(start.prompts), drawn)
        made = lab.propose(parent=start, prompts=prompts, origin="random")
        await lab.evaluate(made, lab.validation)
        best = mean_of(await known_scores(lab, await best_of_pool(lab), lab.validation))
        accepted = mean_of(await known_scores(lab, made, lab.validation)) > best
        await lab.decide(made, accepted=accepted, reason="the best so far" if accepted else "not")
        return Round(made, accepted=accepted, reason="")


STRATEGIES: dict[str, Callable[[], Optimizer]] = {
    "few_shot": FewShot,
    "reflective": Reflective,
    "best of random": BestOfRandom,
}
DSPY, LABELED = "dspy random search", "dspy labeled"
ALL = (*STRATEGIES, DSPY, LABELED)

# Test score by strategy, task, seed and budget; budget 0 is the prompt without demonstrations.
Scores = dict[tuple[str, str, int, int], float]


async def search(
    answers: Answers, task: Task, strategy: str, seed: int, budgets: tuple[int, ...]
) -> dict[int, float]:
    """Test score of the best validated candidate at each budget."""
    options = OptimizerOptions.model_validate({"seed": seed, "demos": {"max": DEMOS}})
    world = RealWorld(answers)
    lab = MemoryLab(world, task.split, task.prompts, options, max_calls=max(budgets))
    optimizer, idle = STRATEGIES[strategy](), 0
    try:
        await lab.score_start()
        while idle < _IDLE_ROUNDS:
            before = lab.calls
            await lab.next_round(optimizer)
            idle = idle + 1 if lab.calls == before else 0
    except OutOfCallsError:
        pass
    found = {0: await tested(world, lab.start, task)}
    for budget in budgets:
        found[budget] = await tested(world, best_within(lab, budget), task)
    return found


def best_within(lab: MemoryLab, budget: int) -> Candidate:
    """The accepted candidate with the best validation score by then; ties: the earlier one."""
    best, best_score = lab.start, -1.0
    for decision in lab.decisions:
        score = lab.validation_score(decision.candidate) if decision.accepted else None
        if score is not None and decision.calls <= budget and score > best_score:
            best, best_score = decision.candidate, score
    return best


async def tested(world: RealWorld, candidate: Candidate, task: Task) -> float:
    """Share of the test cases that a candidate answers rightly."""
    said = await asyncio.gather(
        *(world.answer(candidate.prompts, case, 0) for case in task.split.test)
    )
    pairs = zip(task.split.test, said, strict=True)
    return fmean(world.score(case, output).value for case, output in pairs)


def run_one(
    answers: Answers, name: str, strategy: str, seed: int, budgets: tuple[int, ...]
) -> dict[int, float]:
    """One search of one strategy on one task."""
    from tests.bench.real_dspy import labeled, random_search

    task = load_task(name, seed)
    if strategy == LABELED:
        return dict.fromkeys(budgets, labeled(task, answers.address, seed))
    if strategy == DSPY:
        return random_search(task, answers.address, budgets, seed).scores
    return asyncio.run(_searched(answers, task, strategy, seed, budgets))


async def _searched(
    answers: Answers, task: Task, strategy: str, seed: int, budgets: tuple[int, ...]
) -> dict[int, float]:
    mine = Answers(answers.address, KEPT / "answers.jsonl")
    try:
        return await search(mine, task, strategy, seed, budgets)
    finally:
        await mine.close()


def run_bench(
    tasks: tuple[str, ...], strategies: tuple[str, ...], seeds: int, budgets: tuple[int, ...]
) -> Scores:
    """Every search that is not kept yet, seed by seed, so that an early end is a fair one."""
    path = model_file()
    if path is None:
        raise SystemExit("The small model is not installed: pip install -r requirements/test.txt")
    KEPT.mkdir(parents=True, exist_ok=True)
    kept = read_kept()
    with served_model(path) as address:
        answers = Answers(address, KEPT / "answers.jsonl")
        for seed in range(seeds):
            for name in tasks:
                for strategy in strategies:
                    if all((strategy, name, seed, budget) in kept for budget in budgets):
                        continue
                    began = time.monotonic()
                    for budget, score in run_one(answers, name, strategy, seed, budgets).items():
                        kept[strategy, name, seed, budget] = score
                        _keep(strategy, name, seed, budget, score)
                    shown = {b: kept[strategy, name, seed, b] for b in budgets}
                    took = time.monotonic() - began
                    print(f"{name}, seed {seed}, {strategy}: {shown} ({took:.0f} s)", flush=True)
    return kept


def _keep(*row: str | float) -> None:
    with (KEPT / "searches.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def read_kept() -> Scores:
    """What earlier runs of the bench found."""
    path = KEPT / "searches.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines]
    return {(row[0], row[1], row[2], row[3]): row[4] for row in rows}


def main() -> None:
    """Run, print, and write the page when asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed, two tasks, 200 calls")
    parser.add_argument("--write", action="store_true", help="renew docs/real-model.md")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--most-calls", type=int, default=max(BUDGETS))
    parser.add_argument("--task", action="append", choices=TASKS, help="these alone")
    parser.add_argument("--strategy", action="append", choices=ALL, help="these alone")
    options = parser.parse_args()
    tasks = tuple(options.task or (TASKS[:2] if options.quick else TASKS))
    most = 200 if options.quick else options.most_calls
    budgets = tuple(budget for budget in BUDGETS if budget <= most)
    seeds = 1 if options.quick else options.seeds
    strategies = tuple(options.strategy or ALL)
    scores = run_bench(tasks, strategies, seeds, budgets)
    from tests.bench.real_page import table, write_page

    print("\n".join(table(scores, tasks, budgets)))
    if options.write:
        write_page(scores, ROOT / "docs")


if __name__ == "__main__":
    main()
