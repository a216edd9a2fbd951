"""Intervals that keep their promise, and improvements that are not claimed too early."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from cornerman.domain.statistics import mean_interval, paired_improvement
from cornerman.domain.training.cases import (
    Case,
    CaseError,
    CaseResult,
    Score,
    errored_share,
    mean_score,
    scores_by_case,
    summary_by_evaluator,
    weighted_score,
)

UNIT = st.floats(0, 1)


def result(case_id: str, score: float | None, *, repeat: int = 0) -> CaseResult:
    case = Case(case_id, 0, {})
    if score is None:
        error = CaseError("ValueError", "x")
        return CaseResult(case, "c0", "train", 1, "errored", None, error=error)
    evaluations = {"a": Score(score)} if score else {}
    status = "scored" if score else "timed_out"
    return CaseResult(case, "c0", "train", 1, status, score, evaluations=evaluations, repeat=repeat)


@given(st.lists(UNIT, min_size=1, max_size=30))
def test_the_interval_holds_its_mean_and_stays_in_range(scores: list[float]) -> None:
    found = mean_interval(scores)
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert -1e-9 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1 + 1e-9


def test_nothing_to_average_has_no_interval() -> None:
    assert mean_interval([]).as_dict() == {"value": None, "low": None, "high": None, "n": 0}


@pytest.mark.parametrize("scores", [[1.0] * 5, [0.0] * 40, [0.7], [0.7] * 20])
def test_equal_scores_do_not_claim_certainty(scores: list[float]) -> None:
    found = mean_interval(scores)
    assert found.high is not None
    assert found.low is not None
    assert found.high - found.low > 0.05


def test_the_same_seed_gives_the_same_interval() -> None:
    scores = [0.1, 0.5, 0.9, 0.3, 0.4, 0.8, 0.2, 0.6, 0.7, 1.0, 0.0]
    assert mean_interval(scores, 7) == mean_interval(scores, 7)


def test_scores_to_a_hundred_keep_their_scale() -> None:
    unit = mean_interval([0.2, 0.8, 0.5])
    hundred = mean_interval([20, 80, 50], scale=100)
    assert hundred.low == pytest.approx((unit.low or 0) * 100)


@pytest.mark.parametrize("n", [5, 12, 40])
def test_the_interval_covers_the_true_mean_as_often_as_it_says(n: int) -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(120):
        found = mean_interval(rng.beta(2, 1, n).tolist())
        covered += (found.low or 0) <= 2 / 3 <= (found.high or 0)
    assert covered >= 120 * 0.88


def test_a_clear_improvement_is_better_and_its_mirror_worse() -> None:
    before = {str(n): 0.2 + 0.01 * n for n in range(20)}
    after = {name: score + 0.2 + 0.01 * (int(name) % 5) for name, score in before.items()}
    assert paired_improvement(before, after).better
    back = paired_improvement(after, before)
    assert back.worse
    assert not back.better


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {}),
        ({"a": 0.0}, {"a": 1.0}),
        ({"a": 0.0}, {"b": 1.0}),
        ({str(n): 0.0 for n in range(10)}, {str(n): float(n < 3) for n in range(10)}),
        ({str(n): 0.5 for n in range(30)}, {str(n): 0.5 for n in range(30)}),
    ],
)
def test_little_evidence_is_neither_better_nor_worse(
    before: dict[str, float], after: dict[str, float]
) -> None:
    found = paired_improvement(before, after)
    assert not found.better
    assert not found.worse


def test_better_is_rarely_said_of_equals() -> None:
    rng = np.random.default_rng(2)
    said = 0
    for _ in range(100):
        before = {str(n): float(x) for n, x in enumerate(rng.integers(0, 2, 25))}
        after = {str(n): float(x) for n, x in enumerate(rng.integers(0, 2, 25))}
        said += paired_improvement(before, after).better
    assert said <= 6


def test_repeats_are_averaged_before_they_are_paired() -> None:
    found = paired_improvement({"a": [0.0, 1.0], "b": 0.5}, {"a": [1.0, 1.0], "b": 0.5})
    assert found.n == 2
    assert found.mean == pytest.approx(0.25)


def test_weights_need_not_add_up_to_one() -> None:
    evaluations = {"a": Score(1.0), "b": Score(0.1)}
    assert weighted_score(evaluations, {"a": 1, "b": 3}) == pytest.approx(0.325)


def test_errored_cases_are_left_out_and_timed_out_ones_count_zero() -> None:
    results = [result("a", 0.8), result("b", 0.0), result("c", None)]
    assert mean_score(results) == pytest.approx(0.4)
    assert summary_by_evaluator(results, ["a"]) == {"a": pytest.approx(0.4)}
    assert errored_share(results) == pytest.approx(1 / 3)
    assert mean_score([result("c", None)]) is None


def test_a_repeated_case_counts_once() -> None:
    results = [result("a", 0.5), result("a", 1.0, repeat=1), result("b", 0.25)]
    assert scores_by_case(results) == {"a": 0.75, "b": 0.25}
    assert mean_score(results) == 0.5


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (0, 7), (7, 7), (3, 7), (59, 100)])
def test_yes_or_no_scores_get_the_interval_that_scipy_gives(right: int, n: int) -> None:
    found = mean_interval([1.0] * right + [0.0] * (n - right))
    scipys = scipy.stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert found.low == pytest.approx(scipys.low, abs=1e-14)
    assert found.high == pytest.approx(scipys.high, abs=1e-14)
