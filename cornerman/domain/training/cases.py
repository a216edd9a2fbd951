"""What a case, a score and a case's result are.

What the results of many cases come to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Literal

Split = Literal["train", "validation", "test"]
CaseStatus = Literal["scored", "timed_out", "errored"]

# A score at or above this counts as passed; scores keep their value either way.
PASS_THRESHOLD = 0.5


@dataclass(frozen=True)
class Case:
    """One input with an expected output.

    Args:
        id: Unique in its dataset.
        index: Position in the dataset as it was given, from 0. Never changes with splits.
    """

    id: str
    index: int
    inputs: dict[str, Any]
    expected_output: Any = None
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class EvaluationContext:
    """What an evaluator gets.

    Args:
        output: The agent's answer; of a state with messages, the last one's text.
        duration_ms: Of the agent's call alone.
        state: All that the agent returned, such as a graph's whole state.
    """

    inputs: dict[str, Any]
    output: Any
    expected_output: Any
    metadata: dict[str, Any]
    duration_ms: float
    state: Any = None


@dataclass(frozen=True)
class Score:
    """One evaluator's verdict on one output. `value` is finite and in 0..1."""

    value: float
    reason: str | None = None

    @property
    def passed(self) -> bool:
        return self.value >= PASS_THRESHOLD

    def as_dict(self) -> dict[str, Any]:
        """The event's form: `{score, passed, reason}`."""
        return {"score": self.value, "passed": self.passed, "reason": self.reason}


@dataclass(frozen=True)
class CaseError:
    """Why a case has no score: the exception's type, message and stack."""

    type: str
    message: str
    stack: str = ""
    retryable: bool = False


@dataclass(frozen=True)
class CaseResult:
    """What became of one case under one candidate.

    Args:
        score: Weighted mean of the evaluators in 0..1; 0 when timed out; None when errored.
        evaluations: By evaluator id; empty unless scored.
        cost_usd: What the case's own calls cost (agent and judges), retries included.
        repeat: 0 for the first run of the case, 1.. for repeats of it.
        finish_reason: How the agent's last answer ended, where that is worth knowing: `length`,
            `content_filter` or `refusal`.
    """

    case: Case
    candidate_id: str
    split: Split
    epoch: int
    status: CaseStatus
    score: float | None
    output: Any = None
    evaluations: dict[str, Score] = field(default_factory=dict[str, Score])
    error: CaseError | None = None
    duration_ms: float = 0.0
    cost_usd: float = 0.0
    model_calls: int = 0
    attempts: int = 1
    repeat: int = 0
    finish_reason: str | None = None


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
