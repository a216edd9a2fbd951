"""Means with honest intervals, and whether one set of scores beats another.

The intervals come from scipy: BCa bootstrap where there is enough to resample, and exact binomial
bounds where there is not. A bootstrap of equal scores has no width, which claims a certainty that
ten lucky cases do not give.

scipy.stats takes longer to import than a run to begin, so each function imports what it needs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from cornerman.domain.training.cases import (
    errored_share,
    mean_score,
    scores_by_case,
    summary_by_evaluator,
    weighted_score,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "Interval",
    "PairedInterval",
    "binomial_bounds",
    "cases_for_gain",
    "errored_share",
    "mean_interval",
    "mean_score",
    "paired_improvement",
    "scores_by_case",
    "summary_by_evaluator",
    "too_few_words",
    "weighted_score",
]

CONFIDENCE = 0.95
RESAMPLES = 2000
# Under so many values a bootstrap's interval is too narrow; the binomial bound holds at any n.
SMALLEST_BOOTSTRAP = 10
# The beta quantiles overflow for a sum that differs from none by less.
_NOTHING = 1e-9
# Resamples are drawn in batches of about so many numbers, to keep memory flat.
_BATCH_NUMBERS = 2_000_000


@dataclass(frozen=True)
class Interval:
    """A mean and its 95% interval; all None when there was nothing to average."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    def as_dict(self) -> dict[str, float | int | None]:
        """The form of `test_score` in results: `{value, low, high, n}`."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}


@dataclass(frozen=True)
class PairedInterval:
    """The mean change over the same cases, and its 95% interval.

    Args:
        mean: After minus before; None when no case has both.
        p_value: Two-sided, of a sign-flip permutation test (scipy); None when n is 0.
        better: The interval lies above 0 and the permutation test agrees at 5%. Both are asked
            because a bootstrap of few changed cases claims too much.
        worse: The same, below 0.
    """

    mean: float | None
    low: float | None
    high: float | None
    n: int
    p_value: float | None = None
    better: bool = False
    worse: bool = False

    def as_dict(self) -> dict[str, float | int | bool | None]:
        """JSON form, with the fields' names."""
        return dict(vars(self))


def mean_interval(scores: Sequence[float], seed: int = 0, *, scale: float = 1.0) -> Interval:
    """Return the mean of scores in 0..scale with its 95% interval.

    Yes-or-no scores get Wilson's interval. Others get a BCa bootstrap, or, when fewer than ten or
    all equal, the Clopper-Pearson bound of their mean, which no scores in the range can exceed in
    spread.

    Args:
        seed: Of the bootstrap; the same scores and seed give the same interval.
        scale: The highest possible score, such as 100 for battles.
    """
    import numpy as np

    values = np.asarray(scores, dtype=float) / scale
    if values.size == 0:
        return Interval(None, None, None, 0)
    if bool(np.all((values == 0) | (values == 1))):
        low, high = _wilson(int(values.sum()), int(values.size))
    else:
        low, high = _bounds(values, seed)
    mean = float(values.mean())
    return Interval(mean * scale, low * scale, high * scale, int(values.size))


def _wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927), as scipy's `binomtest` gives it.

    Written out, since most runs have yes-or-no scores and need nothing else of scipy.stats, which
    takes 70 MiB.
    """
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    share, denominator = successes / n, 2 * (n + z**2)
    center = (2 * successes + z**2) / denominator
    delta = z / denominator * math.sqrt(4 * n * share * (1 - share) + z**2)
    low = 0.0 if successes == 0 else center - delta
    high = 1.0 if successes == n else center + delta
    return low, high


def paired_improvement(
    before: Mapping[str, float | Sequence[float]],
    after: Mapping[str, float | Sequence[float]],
    seed: int = 0,
    *,
    scale: float = 1.0,
) -> PairedInterval:
    """Return how much better `after` is on the cases that both have.

    Args:
        before: Score in 0..scale by case id; several of a case (repeats) are averaged first.
        after: The same for what came after.
        seed: Of the resampling.
    """
    import numpy as np

    shared = [case_id for case_id in before if case_id in after]
    pairs = ((_mean(after[case_id]), _mean(before[case_id])) for case_id in shared)
    change = np.array([new - old for new, old in pairs], dtype=float) / scale
    if change.size == 0:
        return PairedInterval(None, None, None, 0)
    # Changes lie in -1..1; halved and moved they lie in 0..1, where the bounds are known.
    low, high = (2 * bound - 1 for bound in _bounds((change + 1) / 2, seed))
    p_value = _sign_flip_p(change, seed)
    sure = p_value <= 1 - CONFIDENCE
    return PairedInterval(
        mean=float(change.mean()) * scale,
        low=low * scale,
        high=high * scale,
        n=int(change.size),
        p_value=p_value,
        better=sure and low > 0,
        worse=sure and high < 0,
    )


def _mean(scores: float | Sequence[float]) -> float:
    import numpy as np

    return float(np.mean(scores))


def _bounds(values: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """Return the 95% interval of the mean of values in 0..1."""
    import numpy as np
    from scipy import stats

    if values.size < SMALLEST_BOOTSTRAP or bool(np.ptp(values) == 0):
        return binomial_bounds(float(values.sum()), int(values.size))
    for method in ("BCa", "percentile"):
        found = stats.bootstrap(
            (values,),
            np.mean,
            confidence_level=CONFIDENCE,
            n_resamples=RESAMPLES,
            method=method,
            batch=max(1, _BATCH_NUMBERS // int(values.size)),
            rng=np.random.default_rng(seed),
        ).confidence_interval
        # BCa has no answer for some lopsided samples; the percentile always has.
        if bool(np.isfinite([found.low, found.high]).all()):
            return float(found.low), float(found.high)
    return binomial_bounds(float(values.sum()), int(values.size))


def binomial_bounds(successes: float, n: int) -> tuple[float, float]:
    """Clopper-Pearson by beta quantiles, for a sum that need not be whole.

    Of all values in 0..1 with a given mean, zeros and ones spread widest.
    """
    from scipy import stats

    tail = (1 - CONFIDENCE) / 2
    failures = max(n - successes, 0.0)
    low = float(stats.beta.ppf(tail, successes, failures + 1)) if successes > _NOTHING else 0.0
    high = float(stats.beta.ppf(1 - tail, successes + 1, failures)) if failures > _NOTHING else 1.0
    return low, high


def _sign_flip_p(change: NDArray[np.float64], seed: int) -> float:
    """Two-sided p-value of the changes' signs being arbitrary."""
    import numpy as np
    from scipy import stats

    if change.size < 2 or not bool(np.any(change)):
        return 1.0
    found = stats.permutation_test(
        (change,),
        np.mean,
        permutation_type="samples",
        n_resamples=RESAMPLES,
        batch=max(1, _BATCH_NUMBERS // int(change.size)),
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


# With fewer pairs even a gain on every one of them has a p-value over 0.05: 2 / 2 ** 5 is 0.0625.
FEWEST_TELLING_PAIRS = 6
_SOUGHT_GAIN = 0.1


def cases_for_gain(gain: float, *, losses: float = 0.0, power: float = 0.5) -> int:
    """Return about how many paired cases show a gain.

    Args:
        gain: Share of the cases by which those that turn right outnumber those that turn wrong,
            over 0 and at most 1.
        losses: Share of the cases that turn from right to wrong meanwhile.
        power: In what share of repetitions it shows. With yes-or-no scores and the permutation
            test it is less where changes are few: 0.8 came to 0.75 in simulations, 0.5 to 0.16.

    A change of 1, 0 or -1 a case has the variance gain + 2 * losses - gain ** 2; the 95% interval
    of its mean must exclude 0 (Connor 1987, for paired proportions).
    """
    normal = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) + NormalDist().inv_cdf(power)
    variance = gain + 2 * losses - gain**2
    return max(FEWEST_TELLING_PAIRS, math.ceil(normal**2 * variance / gain**2))


def too_few_words(pairs: int) -> str:
    """What so few test cases can show; empty when they are enough for a gain of ten points."""
    enough = cases_for_gain(_SOUGHT_GAIN)
    if pairs == 0 or pairs >= enough:
        return ""
    cases = "1 test case shows" if pairs == 1 else f"{pairs} test cases show"
    if pairs < FEWEST_TELLING_PAIRS:
        return (
            f"{cases} nothing: even a gain on every one may be chance. "
            f"{FEWEST_TELLING_PAIRS} could show a gain on all of them, about {enough} a gain of "
            f"{_SOUGHT_GAIN:.0%}."
        )
    return f"{cases} only a large gain; a gain of {_SOUGHT_GAIN:.0%} takes about {enough}."
