"""Small drawings as percentages of their width, so that SVG can draw them at any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cornerman.report.model import CandidateNode, Estimate, Rating
from cornerman.report.numbers import finite


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
