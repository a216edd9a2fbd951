"""How far a judge agrees with people: agreement, Cohen's kappa, bias, the confusion.

Kappa is Cohen's (1960), with quadratic weights (Cohen 1968) where labels have an order of more
than two levels. Its interval is Fleiss, Cohen and Everitt's large-sample one (1969), taken on
Fisher's z scale, so that it stays inside -1..1 and leans the way it should; the variance is that of
`inter_rater.cohens_kappa` in statsmodels. Where nothing differs that variance is 0, which claims a
certainty that twenty cases do not give: there the Clopper-Pearson bound of the agreement stands.
Drawn 300 times for each of 36 settings (50 to 200 cases, kappa 0.4 to 0.9, 5 levels or 2 of which
the rarer has 20% or more), the 95% interval held the true kappa in 90% to 98% of the draws; with
20 cases, or a level that one case in ten has, in as few as 68%.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

from cornerman.domain.statistics import (
    CONFIDENCE,
    Interval,
    binomial_bounds,
    mean_interval,
    paired_improvement,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Weights = Literal["none", "quadratic"]
_NOTHING = 1e-9
# The variance is a difference of sums: rounding leaves about so much of its root where it is none.
_NO_ERROR = 1e-6


@dataclass(frozen=True)
class JudgeAgreement:
    """A judge's scores against people's labels, both in 0..1.

    Args:
        levels: The labels that there may be, ascending; a score counts as the nearest one.
        agreement: Share of cases at the same level.
        chance: The agreement, weighted as kappa is, that two raters with these labels and scores
            have by chance; 1 where kappa can tell nothing.
        kappa: None where chance alone explains everything.
        bias: Mean of score minus label; above 0 the judge is kinder than people.
        confusion: Counts, a row for each level that people gave, a column for the judge's.
    """

    levels: tuple[float, ...]
    agreement: Interval
    chance: float | None
    kappa: Interval
    weights: Weights
    bias: Interval
    confusion: tuple[tuple[int, ...], ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "agreement": self.agreement.as_dict(),
            "chance": self.chance,
            "kappa": {**self.kappa.as_dict(), "weights": self.weights},
            "bias": self.bias.as_dict(),
            "levels": list(self.levels),
            "confusion": [list(row) for row in self.confusion],
        }


def nearest_level(value: float, levels: Sequence[float]) -> int:
    """The place of the level that is nearest; of two, the higher one, as 0.5 is a pass."""
    return min(range(len(levels)), key=lambda place: (abs(levels[place] - value), -place))


def judge_agreement(
    labels: Sequence[float], scores: Sequence[float], levels: Sequence[float]
) -> JudgeAgreement:
    """Compare scores with labels of the same cases, in the same order.

    Args:
        labels: What people said, in 0..1.
        scores: What the judge said, in 0..1.
        levels: Ascending, at least two.
    """
    import numpy as np

    rows = [nearest_level(label, levels) for label in labels]
    columns = [nearest_level(score, levels) for score in scores]
    counts = np.zeros((len(levels), len(levels)))
    for row, column in zip(rows, columns, strict=True):
        counts[row, column] += 1
    kappa, chance = kappa_interval(counts, levels)
    names = [str(place) for place in range(len(labels))]
    change = paired_improvement(
        dict(zip(names, labels, strict=True)), dict(zip(names, scores, strict=True))
    )
    return JudgeAgreement(
        levels=tuple(levels),
        agreement=mean_interval([float(a == b) for a, b in zip(rows, columns, strict=True)]),
        chance=chance,
        kappa=kappa,
        weights="none" if len(levels) == 2 else "quadratic",
        bias=Interval(change.mean, change.low, change.high, change.n),
        confusion=tuple(tuple(int(count) for count in row) for row in counts),
    )


def kappa_interval(
    counts: NDArray[np.float64], levels: Sequence[float]
) -> tuple[Interval, float | None]:
    """Kappa with its 95% interval, and the agreement that chance gives.

    Args:
        counts: By the first rater's level and the second's.
        levels: Ascending; a disagreement weighs by the square of their distance.
    """
    import numpy as np

    n = int(counts.sum())
    if n == 0:
        return Interval(None, None, None, 0), None
    share = counts / n
    place = np.asarray(levels, dtype=float)
    weight = 1 - ((place[:, None] - place[None, :]) / (place[-1] - place[0])) ** 2
    first, second = share.sum(axis=1), share.sum(axis=0)
    seen = float((weight * share).sum())
    chance = float((weight * np.outer(first, second)).sum())
    if chance > 1 - _NOTHING:
        return Interval(None, None, None, n), chance
    kappa = (seen - chance) / (1 - chance)
    by_first, by_second = weight @ second, first @ weight
    spread = weight - (by_first[:, None] + by_second[None, :]) * (1 - kappa)
    variance = float((share * spread**2).sum()) - (kappa - chance * (1 - kappa)) ** 2
    error = math.sqrt(max(variance, 0.0) / n) / (1 - chance)
    if error < _NO_ERROR or abs(kappa) > 1 - _NOTHING:
        # One level alone, or no difference at all: the agreement's own bound, with the chance as
        # it was seen.
        bounds = binomial_bounds(seen * n, n)
        low, high = ((bound - chance) / (1 - chance) for bound in bounds)
        return Interval(kappa, max(low, -1.0), min(high, 1.0), n), chance
    z, tail = math.atanh(kappa), NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    reach = tail * error / (1 - kappa**2)
    return Interval(kappa, math.tanh(z - reach), math.tanh(z + reach), n), chance
