"""How far referees agree with each other and with known results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from cornerman.domain.referee import Verdict


@dataclass(frozen=True)
class RefereeAgreement:
    """Agreement of two referees over several battles.

    Args:
        mean_difference: Mean distance of the two scores, in points.
        within_10: Share of battles on which they are at most 10 points apart.
        icc: ICC(2,1), absolute agreement of single ratings (Shrout and Fleiss 1979); 1 is
            perfect; None with under two battles or when all scores are equal.
    """

    n: int
    mean_difference: float
    within_10: float
    icc: float | None


@dataclass(frozen=True)
class ReliabilityBin:
    """Battles scored in [low, high): their mean score / 100 against the share that succeeded."""

    low: float
    high: float
    n: int
    mean_score: float
    success_rate: float


def agreement(first: Verdict, second: Verdict) -> float:
    """Distance of two verdicts' scores, in points."""
    return abs(first.score - second.score)


def referee_agreement(pairs: Sequence[tuple[float, float]]) -> RefereeAgreement:
    """Sum up two referees' scores of the same battles.

    Raises:
        ValueError: There is no pair.
    """
    if not pairs:
        raise ValueError("agreement needs at least one battle with two scores")
    distances = [abs(a - b) for a, b in pairs]
    return RefereeAgreement(
        n=len(pairs),
        mean_difference=fmean(distances),
        within_10=fmean(float(d <= 10) for d in distances),
        icc=_icc(pairs),
    )


def _icc(pairs: Sequence[tuple[float, float]]) -> float | None:
    n, k = len(pairs), 2
    if n < 2:
        return None
    grand = fmean(score for pair in pairs for score in pair)
    rows = k * sum((fmean(pair) - grand) ** 2 for pair in pairs)
    columns = n * sum((fmean(pair[j] for pair in pairs) - grand) ** 2 for j in range(k))
    total = sum((score - grand) ** 2 for pair in pairs for score in pair)
    between = rows / (n - 1)
    raters = columns / (k - 1)
    error = (total - rows - columns) / ((n - 1) * (k - 1))
    spread = between + (k - 1) * error + k * (raters - error) / n
    return None if spread == 0 else (between - error) / spread


def auc(scores: Sequence[float], succeeded: Sequence[bool]) -> float | None:
    """Chance that a success is scored above a failure; ties count half (Mann-Whitney).

    None when all succeeded or all failed.
    """
    good = [s for s, ok in zip(scores, succeeded, strict=True) if ok]
    bad = [s for s, ok in zip(scores, succeeded, strict=True) if not ok]
    if not good or not bad:
        return None
    wins = sum((g > b) + 0.5 * (g == b) for g in good for b in bad)
    return wins / (len(good) * len(bad))


def reliability_table(
    scores: Sequence[float], succeeded: Sequence[bool], bins: int = 5
) -> list[ReliabilityBin]:
    """Scores in equal bins of 0..100 beside how often they succeeded; empty bins are left out."""
    width = 100 / bins
    groups: dict[int, list[tuple[float, bool]]] = {}
    for score, ok in zip(scores, succeeded, strict=True):
        groups.setdefault(min(int(score / width), bins - 1), []).append((score, ok))
    return [
        ReliabilityBin(
            low=place * width,
            high=(place + 1) * width,
            n=len(group),
            mean_score=fmean(score for score, _ in group),
            success_rate=fmean(float(ok) for _, ok in group),
        )
        for place, group in sorted(groups.items())
    ]
