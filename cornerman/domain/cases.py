"""What a case, a score and a case's result are."""

from __future__ import annotations

from dataclasses import dataclass, field
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
    """What an evaluator gets. `duration_ms` is the agent's call alone."""

    inputs: dict[str, Any]
    output: Any
    expected_output: Any
    metadata: dict[str, Any]
    duration_ms: float


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
