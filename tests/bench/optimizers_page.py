"""The page and the plot of the optimizers' bench."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot

from cornerman.domain.statistics import mean_interval
from tests.bench.searches import LANDSCAPES, STRATEGIES, TRACED

_COLORS = {
    "reflective": "#0b6e4f",
    "gepa": "#c1440e",
    "gepa alone": "#e3a587",
    "textual_gradient": "#5b6c8f",
}
_INTRODUCTION = """# Which optimizer to choose

Best test score against model calls spent, for the three strategies. `make bench-optimizers` makes
the figures; `make bench-optimizers ARGS=--write` renews this page; `ARGS=--quick` is a look at it.

![Test score against model calls](optimizers.png)

{summary}

## What was measured

- **Score**: mean over {tests} test cases that no search sees, of the accepted candidate with the
  best validation score within that many calls, over {seeds} seeds. In brackets: the 95% interval
  over seeds; leads are paired by seed.
- **Calls**: the agent's and the optimizer's model's, the starting prompts' own evaluation
  included. Of 120 cases {train} train and {validation} validate, so a search starts to rewrite
  after {start} calls, and at 50 calls hardly anything has happened yet.
- **Landscapes**: `triage`, `extraction` and `stock` are tasks of the rehearsal endpoint with
  different rules to find, scored right or wrong. `reports` has two prompts and graded scores, and
  its optimizer's model writes the whole prompt anew each time, so that rewrites cannot be joined.
  `desk` is an agent of three prompts and two tools that makes three model calls a case; its
  failures all end in the same sentence, and only its traces tell which prompt lacks a rule.
  Everywhere a quarter of the rewrites is bad, or more. Noise on: a tenth of the answers goes
  astray.
- **Strategies**: `gepa` is gepa 0.1.4 with its own defaults (minibatches of 3, its own reflection
  prompt) as a run of Cornerman does it, where epoch 1 runs the starting prompts on all train
  cases. `gepa alone` is the same search charged only for the calls that it asks for itself.
- **Seeds** set the split, the hard cases, the noise and every draw. `reflective` was made while
  looking at other seeds of the first three landscapes, and of `desk`; `reports` was added
  afterwards.
- The models are simulated. The order of the strategies carries over to real models only as far
  as those also fail by missing rules and write rewrites of mixed quality.

## What `reflective` does with its calls

Epoch 1 has run the starting prompts on all train cases, so their failures are known for free.
Each round shows {proposals} proposals {minibatch} different failures each, tries each rewrite on
just those cases, joins the changes of those that helped, and validates only the result. Where
changes can be joined, one validation thus pays for several lessons. Where they cannot (`reports`),
it does about as well as `gepa`, and is behind `gepa alone` at 100 calls, since that does not pay
for the train cases first; with noise `textual_gradient` is ahead there from 400 calls on, within
the intervals: it changes both prompts at once and compares on everything. Noise is otherwise where
`reflective` leads most: a rewrite gets into the pool by a paired comparison on cases that were not
chosen for the parent's failing them, so fewer lucky ones do.

## What traces are worth

With several prompts, `reflective` reads the trace of each failing case: a tool called wrongly, a
tool's error that the next step ignored, or the last step. Each case points to one prompt, drawn by
how suspect each is; a proposal rewrites the prompt that its cases point to, and a rewrite whose
cases fail no more *there* is joined with others though it gains nothing by itself yet. On `desk`,
noise on and off, at equal calls:

{traces}

At 200 calls nobody has got far: to score the starting prompts takes 123 calls, and a round of six
proposals of three cases with its validation 111, so `reflective` has not ended one, while `gepa`
has tried one rewrite. `gepa` is given the same traces in its reflection records; it rewrites its
prompts in turn. `textual_gradient` rewrites all three prompts at once and compares on everything,
which suits this landscape: it is about level with `reflective` here, and ahead of it with noise.

## Figures

{table}
"""


def write_page(bench: Any, folder: Path) -> None:
    """Write `optimizers.md` and `optimizers.png`."""
    folder.mkdir(exist_ok=True)
    _plot(bench, folder / "optimizers.png")
    page = _INTRODUCTION.format(
        summary=_summary(bench),
        traces=_traces(bench),
        seeds=bench.seeds,
        table="\n".join(bench.rows()),
        **bench.facts(),
    )
    (folder / "optimizers.md").write_text(page, encoding="utf-8")


def _summary(bench: Any) -> str:
    """The leads over everything, in one table."""
    lines = [
        "Lead of `reflective`, all landscapes, noise on and off:",
        "",
        "| over | " + " | ".join(f"{budget} calls" for budget in bench.budgets) + " |",
        "|---|" + "---|" * len(bench.budgets),
    ]
    for over in ("gepa", "gepa alone", "textual_gradient"):
        cells = [bench.shown_lead(over, budget) for budget in bench.budgets]
        lines.append(f"| `{over}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _traces(bench: Any) -> str:
    """The leads where there are traces, in one table."""
    lines = [
        "| `reflective` over | " + " | ".join(f"{budget} calls" for budget in bench.budgets) + " |",
        "|---|" + "---|" * len(bench.budgets),
    ]
    for over in ("reflective, no traces", "gepa", "gepa, no traces"):
        cells = [bench.shown_lead(over, budget, (TRACED,)) for budget in bench.budgets]
        lines.append(f"| `{over}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _plot(bench: Any, path: Path) -> None:
    figure, axes = pyplot.subplots(
        2, len(LANDSCAPES), figsize=(16, 6), sharex=True, sharey=True, layout="constrained"
    )
    for column, landscape in enumerate(LANDSCAPES):
        for row, noisy in enumerate((False, True)):
            panel = axes[row][column]
            _draw(panel, bench, landscape, noisy)
            panel.set_title(f"{landscape}, noise {'on' if noisy else 'off'}", fontsize=10)
            if row == 1:
                panel.set_xlabel("model calls")
            if column == 0:
                panel.set_ylabel("test score")
    axes[0][0].legend(fontsize=8)
    # No date in the file, so that the same figures make the same bytes.
    figure.savefig(path, dpi=100, metadata={"Software": None})
    pyplot.close(figure)


def _draw(panel: Any, bench: Any, landscape: str, noisy: bool) -> None:
    for strategy in STRATEGIES:
        found = [
            mean_interval(list(bench.pairs(strategy, budget, (landscape,), (noisy,)).values()))
            for budget in bench.budgets
        ]
        color = _COLORS[strategy]
        panel.plot(bench.budgets, [f.value for f in found], marker="o", label=strategy, color=color)
        low, high = [f.low for f in found], [f.high for f in found]
        panel.fill_between(bench.budgets, low, high, alpha=0.12, color=color, linewidth=0)
    panel.set_xscale("log")
    panel.set_xticks(bench.budgets, [str(budget) for budget in bench.budgets])
    panel.minorticks_off()
    panel.set_ylim(0, 1)
    panel.grid(alpha=0.25)
