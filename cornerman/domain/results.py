"""What the results of many cases come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from cornerman.domain.cases import CaseResult, Score


def weighted_score(evaluations: Mapping[str, Score], weights: Mapping[str, float]) -> float:
    """Return the weighted mean of a case's evaluations, in 0..1.

    Args:
        evaluations: By evaluator id; each id of `weights` must be there.
        weights: Over 0, of any sum.
    """
    total = sum(weights.values())
    mean = sum(evaluations[name].value * weight for name, weight in weights.items()) / total
    return min(1.0, max(0.0, mean))


def scores_by_case(results: Sequence[CaseResult]) -> dict[str, float]:
    """Return each case's score, repeats averaged; errored results are left out."""
    found: dict[str, list[float]] = {}
    for result in results:
        if result.score is not None:
            found.setdefault(result.case.id, []).append(result.score)
    return {case_id: fmean(scores) for case_id, scores in found.items()}


def mean_score(results: Sequence[CaseResult]) -> float | None:
    """Return the mean over cases, timed-out ones as 0; None when every case errored."""
    scores = scores_by_case(results)
    return fmean(list(scores.values())) if scores else None


def errored_share(results: Sequence[CaseResult]) -> float:
    """Return the share of results that errored, 0 when there are none."""
    errored = sum(result.status == "errored" for result in results)
    return errored / len(results) if results else 0.0


def summary_by_evaluator(
    results: Sequence[CaseResult], evaluator_ids: Sequence[str]
) -> dict[str, float]:
    """Return each evaluator's mean; timed-out cases count 0, errored ones are left out.

    An evaluator without any score is absent.
    """
    counted = [result for result in results if result.status != "errored"]
    if not counted:
        return {}
    return {
        name: fmean(
            [
                result.evaluations[name].value if name in result.evaluations else 0.0
                for result in counted
            ]
        )
        for name in evaluator_ids
    }
