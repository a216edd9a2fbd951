"""Racing: many candidates on few cases, the better half of them on more.

Source: successive halving (Jamieson & Talwalkar 2016), with paired comparisons on the same cases.
A racer goes early only when the field is halved, or when it is hopeless: behind the leader by more
than `SURE` standard errors of the case-by-case differences. design/racing.md has how often that
loses the best one, simulated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean, pstdev

# With fewer cases a difference says nothing by itself.
FEWEST_PAIRS = 6
# Sets that start a race; later races have the best so far to change, and more to win by luck.
FIRST_RACERS, RACERS = 8, 12
FIRST_LAP = 6
FINALISTS = 2
SURE = 2.0
_EQUAL = 1e-9

Scores = Mapping[str, float]


def rungs(cases: int, first: int) -> list[int]:
    """How many cases each lap of a race has run in the end: doubled until all are.

    Args:
        cases: All there are.
        first: Of the first lap, at least 1.
    """
    laps, at = list[int](), max(1, first)
    while at < cases:
        laps.append(at)
        at *= 2
    return [*laps, cases] if cases else []


def race_cases(racers: int, cases: int) -> int:
    """Cases that a race takes at most, besides the final's."""
    total = done = 0
    for length in rungs(cases, FIRST_LAP):
        total += racers * (length - done)
        racers, done = max(FINALISTS, (racers + 1) // 2), length
    return total


def difference(one: Scores, other: Scores) -> tuple[float, float, int]:
    """Mean of one's scores minus the other's over the cases of both, its standard error, their
    number."""
    shared = [name for name in one if name in other]
    if not shared:
        return 0.0, math.inf, 0
    changes = [one[name] - other[name] for name in shared]
    return fmean(changes), pstdev(changes) / math.sqrt(len(changes)), len(changes)


def is_hopeless(scores: Scores, leader: Scores) -> bool:
    """Whether a racer is so far behind that more cases would hardly bring it back."""
    behind, error, pairs = difference(scores, leader)
    if pairs < FEWEST_PAIRS:
        return False
    # One case's step where all differences are equal: no spread is no certainty.
    return behind < -SURE * max(error, 0.5 / pairs) - _EQUAL


def survivors(field: Mapping[str, Scores], most: int) -> list[str]:
    """Who runs on: the best by mean, at most `most`, without the hopeless; in the field's order
    where level."""
    ranked = sorted(field, key=lambda name: -mean_of(field[name]))
    leader = field[ranked[0]] if ranked else {}
    kept = [name for name in ranked[:most] if not is_hopeless(field[name], leader)]
    return kept or ranked[:1]


def mean_of(scores: Scores) -> float:
    """The mean; below every score where there is none."""
    return fmean(scores.values()) if scores else -1.0


def cannot_be_kept(parent: Scores, child: Scores) -> bool:
    """Whether a rewrite would not be kept even if it did best on all cases that are left.

    No statistics: the parent's scores on them are known, and a score is at most 1.

    Args:
        parent: The parent's scores on all cases.
        child: The child's on those that it has run.
    """
    if not child:
        return False
    gained = sum(child[name] - parent[name] for name in child if name in parent)
    possible = sum(1.0 - score for name, score in parent.items() if name not in child)
    return gained + possible <= _EQUAL
