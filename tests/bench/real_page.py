"""docs/real-model.md: what `make bench-real` found, with a picture."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import fmean
from typing import Any

from tests.bench.real_tasks import TASKS, TEST, TRAIN, VALIDATION

# As in tests.bench.real, whose scores these are: by strategy, task, seed and budget.
Scores = dict[tuple[str, str, int, int], float]
MINE = "few_shot"
_Z = 1.96


def seeds_of(scores: Scores, strategy: str, task: str, budget: int) -> dict[str, float]:
    """Scores by task and seed, so that strategies are compared on the same cases."""
    return {
        f"{name}/{seed}": score
        for (its, name, seed, at), score in scores.items()
        if its == strategy and at == budget and task in ("", name)
    }


def lead(scores: Scores, over: str, budget: int, task: str = "") -> str:
    """How far few_shot is ahead on the searches that both have done, with its 95% interval."""
    mine, theirs = (seeds_of(scores, name, task, budget) for name in (MINE, over))
    return _difference(theirs, mine)


def _difference(before: dict[str, float], after: dict[str, float]) -> str:
    """The change of the share of right answers over the searches that both did.

    Newcombe's interval (1998, method 10) of two shares, all test cases together: with few seeds
    the cases are what there is many of. That both ran the same cases could only narrow it.
    """
    both = [name for name in before if name in after]
    if not both:
        return "not run"
    n = TEST * len(both)
    old, new = (sum(scores[name] for name in both) / len(both) for scores in (before, after))
    (old_low, old_high), (new_low, new_high) = _wilson(old, n), _wilson(new, n)
    low = new - old - math.hypot(new - new_low, old_high - old)
    high = new - old + math.hypot(new_high - new, old - old_low)
    count = "1 search" if len(both) == 1 else f"{len(both)} searches"
    return f"{new - old:+.2f} ({low:+.2f} to {high:+.2f}), {count}"


def _wilson(share: float, n: int) -> tuple[float, float]:
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    return middle - half, middle + half


def table(scores: Scores, tasks: tuple[str, ...], budgets: tuple[int, ...]) -> list[str]:
    """Mean test scores by task and strategy."""
    strategies = dict.fromkeys(key[0] for key in scores)
    heads = " | ".join(f"{budget} calls" for budget in budgets)
    lines = [f"| task | searched by | seeds | {heads} |", "|---|---|---|" + "---|" * len(budgets)]
    for task in tasks:
        start = seeds_of(scores, MINE, task, 0)
        if start:
            cells = " | ".join([f"{fmean(start.values()):.2f}"] * len(budgets))
            lines.append(f"| {task} | no demonstrations | {len(start)} | {cells} |")
        for strategy in strategies:
            held = [seeds_of(scores, strategy, task, budget) for budget in budgets]
            if any(held):
                cells = " | ".join(
                    f"{fmean(one.values()):.2f}" if one else "not run" for one in held
                )
                lines.append(f"| {task} | `{strategy}` | {max(map(len, held))} | {cells} |")
    return lines


def write_page(scores: Scores, folder: Path) -> None:
    """Write the page and its picture."""
    budgets = tuple(sorted({key[3] for key in scores} - {0}))
    tasks = tuple(task for task in TASKS if seeds_of(scores, MINE, task, budgets[0]))
    others = [name for name in dict.fromkeys(key[0] for key in scores) if name != MINE]
    leads = [
        f"| `{other}` | " + " | ".join(lead(scores, other, budget) for budget in budgets) + " |"
        for other in others
    ]
    gains = [
        f"| {task} | " + " | ".join(_gain(scores, task, budget) for budget in budgets) + " |"
        for task in tasks
    ]
    heads = " | ".join(f"{budget} calls" for budget in budgets)
    rule = "|---|" + "---|" * len(budgets)
    text = f"""# A real model learns from examples

SmolLM2-135M-Instruct, the smallest model there is on one's own machine, served by llama.cpp:
banking77's customer messages and tasks of BIG-Bench-Hard, exact answers, temperature 0.
`make bench-real` makes the figures, `make bench-real ARGS=--write` renews this page,
`ARGS=--quick` is a look at it.

![Test score against model calls](real-model.png)

What `few_shot` gained over the prompt without demonstrations, with the 95% interval over test
cases:

| task | {heads} |
{rule}
{chr(10).join(gains)}

Lead of `few_shot` at equal calls on the searches that both did, with the same interval:

| over | {heads} |
{rule}
{chr(10).join(leads)}

## What was measured

- **Score**: share of {TEST} test cases that no search saw, of the candidate with the best
  validation score within that many calls. {TRAIN} cases may be shown, {VALIDATION} choose.
- **Calls**: all that a search makes, the starting prompt's own {TRAIN + VALIDATION} included. The
  test's are not counted.
- `reflective` has demonstrations and text; its text is rewritten by the same small model, which is
  no good at it, and that is what most will see on so small a model.
- `best of random` draws plain sets of eight and runs each on every validation case.
- `dspy random search` is DSPy's BootstrapFewShotWithRandomSearch (up to 4 bootstrapped and 8
  labelled demonstrations), cut at the same number of its own calls, `dspy labeled` its
  LabeledFewShot with 8. Its format of named fields is much for so small a model, and a part of the
  difference is that.
- Greedy answers do not repeat exactly where two are made at once, by a case or so in a hundred.

## Figures

{chr(10).join(table(scores, tasks, budgets))}
"""
    (folder / "real-model.md").write_text(text, encoding="utf-8")
    _draw(scores, tasks, budgets, folder / "real-model.png")


def _gain(scores: Scores, task: str, budget: int) -> str:
    return _difference(seeds_of(scores, MINE, task, 0), seeds_of(scores, MINE, task, budget))


def _draw(scores: Scores, tasks: tuple[str, ...], budgets: tuple[int, ...], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        1, len(tasks), figsize=(3.2 * len(tasks), 3.2), sharey=True, squeeze=False
    )
    strategies, lines = tuple(dict.fromkeys(key[0] for key in scores)), dict[str, Any]()
    for axis, task in zip(axes[0], tasks, strict=True):
        start = seeds_of(scores, MINE, task, 0)
        for number, strategy in enumerate(strategies):
            held = {budget: seeds_of(scores, strategy, task, budget) for budget in budgets}
            points = [(budget, fmean(one.values())) for budget, one in held.items() if one]
            if points:
                xs, ys = zip(*points, strict=True)
                width = 2.5 if strategy == MINE else 1.2
                colour = f"C{number}"
                lines[strategy] = axis.plot(xs, ys, colour, marker="o", linewidth=width)[0]
        if start:
            mean = fmean(start.values())
            lines["none shown"] = axis.axhline(mean, color="grey", linestyle=":")
        axis.set_title(task, fontsize=9)
        axis.set_xlabel("model calls", fontsize=8)
        axis.set_ylim(-0.02, 1.02)
        axis.set_xticks(budgets)
    axes[0][0].set_ylabel("test score", fontsize=8)
    figure.tight_layout(rect=(0, 0.1, 1, 1))
    figure.legend(lines.values(), lines.keys(), loc="lower center", ncol=len(lines), fontsize=8)
    figure.savefig(path, dpi=110)
