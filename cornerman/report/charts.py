"""Small drawings as percentages of their width, so that SVG can draw them at any size.

What the page's script draws, as data; and the same data as small tables for reading.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from cornerman.report import text
from cornerman.report.model import CandidateNode, EpochPoint, Estimate, Rating
from cornerman.report.text import finite


@dataclass(frozen=True)
class Whisker:
    """A point and its interval, each 0..100 percent from the left."""

    at: float
    low: float
    high: float


def percent(value: float, low: float, high: float) -> float:
    """Place a value on an axis from `low` to `high`, kept within it."""
    if high <= low:
        return 50.0
    return round(min(max((value - low) / (high - low), 0.0), 1.0) * 100, 2)


def whisker(
    value: float | None,
    low: float | None,
    high: float | None,
    axis: tuple[float, float] = (0.0, 1.0),
) -> Whisker | None:
    """Place an estimate on an axis; None when there is no value, no width without interval."""
    number = finite(value)
    if number is None:
        return None
    start, end = finite(low), finite(high)
    return Whisker(
        at=percent(number, *axis),
        low=percent(number if start is None else start, *axis),
        high=percent(number if end is None else end, *axis),
    )


def estimate_whisker(
    estimate: Estimate | None, axis: tuple[float, float] = (0.0, 1.0)
) -> Whisker | None:
    """Place an `Estimate` on an axis."""
    return None if estimate is None else whisker(estimate.value, estimate.low, estimate.high, axis)


def share(part: float, whole: float | None) -> float | None:
    """Percent that `part` is of `whole`; None without a whole, at most 100."""
    total = finite(whole)
    return None if not total or total < 0 else percent(part, 0.0, total)


def rating_axis(ratings: Sequence[Rating]) -> tuple[float, float]:
    """Return the axis that holds all ratings and intervals, with a little air."""
    ends = [e for r in ratings for e in (finite(r.rating), finite(r.low), finite(r.high))]
    known = [end for end in ends if end is not None]
    if not known:
        return (0.0, 1.0)
    air = (max(known) - min(known)) * 0.04 or 1.0
    return (min(known) - air, max(known) + air)


@dataclass(frozen=True)
class LineageRow:
    """One candidate in the lineage drawing.

    Args:
        main: Whether it became the incumbent, and so stands on the main line.
        line_above: Whether the main line enters this row from above.
        line_below: Whether the main line goes on below this row.
    """

    candidate: CandidateNode
    main: bool
    line_above: bool
    line_below: bool


def lineage(candidates: Sequence[CandidateNode]) -> list[LineageRow]:
    """Lay candidates out as one line of incumbents with the others as twigs.

    A candidate without a parent started the run, so it stands on the line without a verdict.
    """
    main = [c.accepted is True or c.parent_id is None for c in candidates]
    if not any(main):
        return [LineageRow(c, False, False, False) for c in candidates]
    first = main.index(True)
    last = len(main) - 1
    return [
        LineageRow(
            candidate=candidate,
            main=main[row],
            line_above=row > first,
            # The last incumbent still stands, so its line goes on to where the last twig leaves.
            line_below=first <= row < last,
        )
        for row, candidate in enumerate(candidates)
    ]


MAX_POINTS = 400
TABLE_ROWS = 12
# A budget this many times the spending would press the curve flat on its axis.
_OFF_SCALE = 4.0


@dataclass(frozen=True)
class Chart:
    """A chart: its data for the script, its summary for a screen reader, its rows to read."""

    id: str
    data: dict[str, Any]
    label: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def script_json(value: object) -> Markup:
    """Write JSON that is inert inside a script element, whatever its strings hold."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - nothing that HTML reads is left in it


def learning_chart(epochs: Sequence[EpochPoint]) -> Chart | None:
    """Draw training and validation scores per epoch; None without any score."""
    if not any(_scores(epoch) for epoch in epochs):
        return None
    data = {
        "kind": "learning",
        "epochs": [epoch.epoch for epoch in epochs],
        "train": [finite(epoch.score) for epoch in epochs],
        "validation": [finite(epoch.validation_score) for epoch in epochs],
        "low": [finite(epoch.validation_low) for epoch in epochs],
        "high": [finite(epoch.validation_high) for epoch in epochs],
        "accepted": [epoch.accepted for epoch in epochs],
    }
    return Chart(
        id="learning",
        data=data,
        label=_learning_label(epochs),
        columns=("Epoch", "Training", "Validation", "95% interval", "Cost", "Candidate"),
        rows=[_epoch_row(epoch) for epoch in epochs],
    )


def cost_chart(
    chart_id: str, points: Sequence[tuple[float, float]], budget_usd: float | None
) -> Chart | None:
    """Draw USD spent over time, with the budget when it fits the scale; None without points."""
    known = [(t, usd) for t, usd in points if finite(t) is not None and finite(usd) is not None]
    if not known:
        return None
    spent, budget = max(usd for _, usd in known), finite(budget_usd)
    fits = budget is not None and budget <= max(spent * _OFF_SCALE, 1e-9)
    drawn = thinned(known, MAX_POINTS)
    note = "" if budget is None or fits else f"The budget of {text.usd(budget)} is off the scale."
    data = {
        "kind": "cost",
        "seconds": [t for t, _ in drawn],
        "usd": [usd for _, usd in drawn],
        "budget": budget if fits else None,
    }
    label = f"Cost over time: {text.usd(spent)} spent after {text.seconds(known[-1][0])}"
    label += "." if budget is None else f", of a budget of {text.usd(budget)}."
    rows = [(text.seconds(t), text.usd(usd)) for t, usd in thinned(known, TABLE_ROWS)]
    return Chart(chart_id, data, label, ("Since the start", "Spent"), rows, note)


def thinned(points: Sequence[tuple[float, float]], limit: int) -> list[tuple[float, float]]:
    """Keep at most `limit` evenly chosen points, the first and the last among them."""
    if len(points) <= limit:
        return list(points)
    last = len(points) - 1
    return [points[round(step * last / (limit - 1))] for step in range(limit)]


def _scores(epoch: EpochPoint) -> list[float]:
    known = (finite(epoch.score), finite(epoch.validation_score))
    return [score for score in known if score is not None]


def _learning_label(epochs: Sequence[EpochPoint]) -> str:
    known = [e.validation_score for e in epochs if finite(e.validation_score) is not None]
    label = f"Learning curve over {text.plural(len(epochs), 'epoch')}"
    if not known:
        return f"{label}."
    first, last = text.score(known[0]), text.score(known[-1])
    return f"{label}: validation score {first} first, {last} last."


def _epoch_row(epoch: EpochPoint) -> tuple[str, ...]:
    low, high = finite(epoch.validation_low), finite(epoch.validation_high)
    interval = text.NONE
    if low is not None and high is not None:
        interval = f"{text.score(low)} to {text.score(high)}"
    verdict = {True: "accepted", False: "rejected", None: "undecided"}[epoch.accepted]
    return (
        str(epoch.epoch),
        text.score(epoch.score),
        text.score(epoch.validation_score),
        interval,
        text.usd(epoch.cost_usd),
        f"{verdict}: {epoch.reason}" if epoch.reason else verdict,
    )
