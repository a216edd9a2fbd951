"""docs/peers.md: the table, what each library does for a case, and how it was measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from statistics import median

from tests.bench.peers.table import Measurement, medians, ratios, table
from tests.bench.training_load import AT_ONCE, ROOT

PAGE = ROOT / "docs" / "peers.md"

_PAGE = """# What a recorded case costs, next to other libraries

{cases} cases of {seconds:g} s, {at_once} at once, so {ideal:g} s at best. Medians of {rounds}
rounds; in parentheses, how many times the column's least. `make bench-peers` measures;
`make bench-peers ARGS=--write` renews this page.

{table}

{summary}

## What each does for a case

All make one chat call by OpenAI's Python client over HTTP, compare the answer with the expected
one, and count the same {cases} requests, {at_once} at once, at the stand-in.

| library | is left of a case | on disk |
|---|---|---|
{kept}

Cornerman's is the only ledger: its call's worst case is reserved in the database before the call
is made and settled after it, each in a transaction that is synced to disk. Its case is a Prefect
task run with a time-out and retries, and its row and its event are committed together. inspect-ai
logs each sample with all its messages and model events. The two others keep their results in
memory: what happens to them is up to the caller.

## How it was measured

- **loop**: from the call of `Dataset.evaluate`, of a `dspy.Evaluate`, of inspect-ai's `eval`, and
  of the lab's `evaluate` in a training run of one epoch, to its return; libraries are imported
  and clients can be made before. CPU is that of the process and of those that it starts: the
  embedded Prefect server's is Cornerman's, but not what it still writes in the second after.
- **process**: from the start of Python to its end. Cornerman's starts and stops a Prefect server
  of its own, claims the run, splits the dataset, stores a checkpoint and writes the report.
- **peak memory**: resident memory of the process and its children, shared pages counted twice.
- Each process gets a stand-in of its own, that answers after {seconds:g} s. Every round runs each
  library once; another one begins each time. Each has run once before in its folder, so that
  nobody compiles bytecode or makes an empty database. Cornerman runs from `.venv`, the others from
  `.venv-peers`. dspy's cache is off; litellm's price list is the one in its package.
- Python {python}, {processors} processors. {versions}.
"""

_LEFT = {
    "cornerman": "reservation and settlement in the ledger, result row, event, Prefect task run",
    "pydantic-evals": "an entry of the report, in memory",
    "dspy": "example, prediction and score, and the call in the client's history, in memory",
    "inspect-ai": "the sample in a log file: messages, model events, usage, score",
}


def page(measurements: Sequence[Measurement]) -> str:
    """The whole page."""
    first, rows = measurements[0], medians(measurements)
    return _PAGE.format(
        cases=first["cases"],
        seconds=first["seconds"],
        at_once=AT_ONCE,
        ideal=first["cases"] * first["seconds"] / AT_ONCE,
        rounds=len(measurements) // len(rows),
        table=table(measurements),
        summary=_summary(measurements),
        kept="\n".join(_kept(library, measurements) for library in rows),
        python=platform.python_version(),
        processors=os.cpu_count(),
        versions=_versions(measurements),
    )


def _summary(measurements: Sequence[Measurement]) -> str:
    rows = medians(measurements)
    times = ratios(rows)["cornerman"]
    walls = {library: figures[0] for library, figures in rows.items()}
    fastest = min(walls, key=lambda library: walls[library])
    cases = measurements[0]["cases"]
    spent = 1000 * (rows["cornerman"][1] - rows[fastest][1]) / cases
    if fastest == "cornerman":
        return "Cornerman's loop is the fastest, with everything recorded."
    return (
        f"Cornerman's loop takes {100 * (times[0] - 1):.1f}% longer than the fastest one's "
        f"({fastest}), and {spent:.0f} ms more processor time a case, for its records. As a whole "
        f"process it takes {times[2]:.1f} times as long and {times[4]:.1f} times as much memory "
        "as the least."
    )


def _kept(library: str, measurements: Sequence[Measurement]) -> str:
    kib = median(
        m["process"]["kept_kib"] / m["cases"] for m in measurements if m["library"] == library
    )
    shown = f"{kib:.1f} KiB" if kib >= 0.05 else "nothing"
    return f"| {library} | {_LEFT[library]} | {shown} |"


def _versions(measurements: Sequence[Measurement]) -> str:
    texts = dict[str, None]()
    for measured in measurements:
        pairs = (f"{name} {number}" for name, number in measured["versions"].items())
        texts[f"{measured['library']}: {', '.join(pairs)}"] = None
    return "; ".join(texts)
