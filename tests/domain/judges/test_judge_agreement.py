"""Kappa, agreement and bias against published formulas, another library's figures and chance."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from cornerman.domain.judges.agreement import judge_agreement, kappa_interval, nearest_level

PASS_FAIL = (0.0, 1.0)
THREE = (0.0, 0.5, 1.0)


def standard_error(low: float, high: float, kappa: float) -> float:
    """What the interval was made of, before Fisher's scale."""
    reach = (math.atanh(high) - math.atanh(low)) / 2
    return reach * (1 - kappa**2) / NormalDist().inv_cdf(0.975)


@pytest.mark.parametrize(
    ("counts", "levels", "kappa", "error"),
    [
        # Two doctors and fifty grants, as textbooks have it; errors by statsmodels 0.14.
        ([[20, 5], [10, 15]], PASS_FAIL, 0.4, 0.12699606),
        ([[53, 5, 2], [11, 14, 5], [1, 6, 3]], THREE, 0.56666667, 0.07872409),
    ],
)
def test_kappa_is_that_of_statsmodels(
    counts: list[list[int]], levels: tuple[float, ...], kappa: float, error: float
) -> None:
    found, chance = kappa_interval(np.array(counts, dtype=float), levels)
    assert found.value == pytest.approx(kappa)
    assert found.low is not None and found.high is not None and chance is not None
    assert standard_error(found.low, found.high, kappa) == pytest.approx(error, rel=1e-5)


def test_a_judge_that_agrees_with_everybody_is_not_certain() -> None:
    labels = [1.0, 0.0] * 10
    found = judge_agreement(labels, labels, PASS_FAIL)
    assert (found.agreement.value, found.kappa.value, found.bias.value) == (1, 1, 0)
    assert found.kappa.low == pytest.approx(0.663, abs=0.001)
    assert found.confusion == ((10, 0), (0, 10))


@pytest.mark.parametrize("passed", [20, 84, 116])
def test_a_judge_that_says_the_same_of_all_has_no_kappa_and_no_certainty(passed: int) -> None:
    labels = [1.0] * passed + [0.0] * (200 - passed)
    found = judge_agreement(labels, [0.0] * 200, PASS_FAIL)
    assert found.kappa.value == pytest.approx(0)
    assert found.kappa.low is not None and found.kappa.low < -0.1


def test_a_judge_that_is_kinder_than_people_has_a_bias() -> None:
    found = judge_agreement([1.0, 0.0] * 20, [1.0] * 40, PASS_FAIL)
    assert found.agreement.value == 0.5
    assert found.bias.value == 0.5 and found.bias.low is not None and found.bias.low > 0.3


def test_a_far_miss_weighs_more_than_a_near_one_only_where_labels_have_an_order() -> None:
    labels = [0.0, 0.25, 0.5, 0.75, 1.0] * 4
    near = [min(label + 0.25, 1.0) for label in labels]
    far = [1.0 - label for label in labels]
    five = (0.0, 0.25, 0.5, 0.75, 1.0)
    one, other = judge_agreement(labels, near, five), judge_agreement(labels, far, five)
    assert one.weights == "quadratic"
    assert one.kappa.value is not None and one.kappa.value > 0.79
    assert other.kappa.value == pytest.approx(-1)
    assert one.agreement.value == pytest.approx(other.agreement.value) == pytest.approx(0.2)


def test_nothing_was_judged_and_nothing_is_claimed() -> None:
    found = judge_agreement([], [], PASS_FAIL)
    assert found.kappa.value is None and found.agreement.n == 0
    alike = judge_agreement([1.0, 1.0], [1.0, 1.0], PASS_FAIL)
    assert alike.kappa.value is None and alike.chance == 1


def test_a_score_counts_as_the_nearest_level_and_a_half_as_a_pass() -> None:
    assert [nearest_level(score, PASS_FAIL) for score in (0.49, 0.5, 1.0)] == [0, 1, 1]
    assert [nearest_level(score, THREE) for score in (0.24, 0.25, 0.8)] == [0, 1, 2]


@pytest.mark.parametrize(("kappa", "n"), [(0.4, 50), (0.8, 100)])
def test_the_interval_holds_the_true_kappa_about_as_often_as_it_says(kappa: float, n: int) -> None:
    rng, margin = np.random.default_rng(1), np.array([0.3, 0.7])
    table = kappa * np.diag(margin) + (1 - kappa) * np.outer(margin, margin)
    held = 0
    for _ in range(400):
        counts = rng.multinomial(n, table.ravel()).reshape(2, 2).astype(float)
        found, _ = kappa_interval(counts, PASS_FAIL)
        assert found.low is not None and found.high is not None
        held += found.low <= kappa <= found.high
    assert 0.92 <= held / 400 <= 0.985
