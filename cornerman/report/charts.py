"""What the page's script draws, as data; and the same data as small tables for reading."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from cornerman.report import numbers
from cornerman.report.model import EpochPoint
from cornerman.report.numbers import finite

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
    note = (
        "" if budget is None or fits else f"The budget of {numbers.usd(budget)} is off the scale."
    )
    data = {
        "kind": "cost",
        "seconds": [t for t, _ in drawn],
        "usd": [usd for _, usd in drawn],
        "budget": budget if fits else None,
    }
    label = f"Cost over time: {numbers.usd(spent)} spent after {numbers.seconds(known[-1][0])}"
    label += "." if budget is None else f", of a budget of {numbers.usd(budget)}."
    rows = [(numbers.seconds(t), numbers.usd(usd)) for t, usd in thinned(known, TABLE_ROWS)]
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
    label = f"Learning curve over {numbers.plural(len(epochs), 'epoch')}"
    if not known:
        return f"{label}."
    first, last = numbers.score(known[0]), numbers.score(known[-1])
    return f"{label}: validation score {first} first, {last} last."


def _epoch_row(epoch: EpochPoint) -> tuple[str, ...]:
    low, high = finite(epoch.validation_low), finite(epoch.validation_high)
    interval = numbers.NONE
    if low is not None and high is not None:
        interval = f"{numbers.score(low)} to {numbers.score(high)}"
    verdict = {True: "accepted", False: "rejected", None: "undecided"}[epoch.accepted]
    return (
        str(epoch.epoch),
        numbers.score(epoch.score),
        numbers.score(epoch.validation_score),
        interval,
        numbers.usd(epoch.cost_usd),
        f"{verdict}: {epoch.reason}" if epoch.reason else verdict,
    )
