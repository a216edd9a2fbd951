"""Turns what evaluators return into scores, and what they raise into failures."""

from __future__ import annotations

import math
import traceback
from collections.abc import Mapping
from numbers import Real
from typing import Any

from cornerman.domain.errors import CornermanError, LLMError
from cornerman.domain.json_values import shown
from cornerman.domain.training.cases import CaseError, Score

ACCEPTED = "a bool, a finite number in 0..1, {value, reason}, or an object with .value and .reason"
REASON_LIMIT = 4000


class EvaluatorFailure(CornermanError):  # noqa: N818 - the word of the contract and of the field
    """An evaluator gave no usable verdict: it raised, or returned what is not a score.

    Args:
        evaluator_id: The evaluator of the request.
        error_type: The exception's type; `InvalidVerdict` for an unusable return value.
        detail: What it said.
        stack: The traceback's text; empty for an unusable return value.
        retryable: Whether the same evaluation may succeed later.
    """

    code = "evaluator"

    def __init__(
        self,
        evaluator_id: str,
        *,
        error_type: str,
        detail: str,
        stack: str = "",
        retryable: bool = False,
        hint: str = "",
    ) -> None:
        super().__init__(f"Evaluator {evaluator_id!r}: {error_type}: {detail}", hint=hint)
        self.evaluator_id = evaluator_id
        self.error_type = error_type
        self.detail = detail
        self.stack = stack
        self.retryable = retryable

    def as_case_error(self) -> CaseError:
        """The failure as the case's record keeps it."""
        return CaseError(self.error_type, self.message, self.stack, self.retryable)


def failure_of(evaluator_id: str, error: Exception) -> EvaluatorFailure:
    """Return the failure that an evaluator's exception stands for."""
    return EvaluatorFailure(
        evaluator_id,
        error_type=type(error).__name__,
        detail=str(error) or repr(error),
        stack="".join(traceback.format_exception(error)),
        retryable=isinstance(error, LLMError) and error.retryable,
        hint=error.hint if isinstance(error, CornermanError) else "",
    )


def to_score(evaluator_id: str, returned: Any) -> Score:
    """Return the score that an evaluator's return value stands for; its value is kept exactly.

    Raises:
        EvaluatorFailure: It is none of the accepted forms, or lies outside 0..1.
    """
    reason: Any = None
    value = returned
    if isinstance(returned, Mapping):
        if "value" not in returned:
            keys = ", ".join(map(str, returned)) or "none"
            raise _unusable(evaluator_id, f"returned a mapping without 'value' (keys: {keys})")
        value, reason = returned["value"], returned.get("reason")
    elif not isinstance(returned, Real) and hasattr(returned, "value"):
        value, reason = returned.value, getattr(returned, "reason", None)
    number = _number(value)
    if number is None:
        raise _unusable(evaluator_id, f"returned {shown(value)} of type {type(value).__name__}")
    if not math.isfinite(number) or not 0 <= number <= 1:
        raise _unusable(evaluator_id, f"returned {number!r}, which is not a finite number in 0..1")
    return Score(number, None if reason is None else str(reason)[:REASON_LIMIT])


def _number(value: Any) -> float | None:
    if type(value).__name__ == "bool_" or (type(value).__module__ == "numpy"):
        # numpy's scalars are numbers in all but name; its arrays are not.
        value = value.item() if getattr(value, "ndim", 1) == 0 else value
    if isinstance(value, Real):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    return None


def _unusable(evaluator_id: str, detail: str) -> EvaluatorFailure:
    return EvaluatorFailure(
        evaluator_id,
        error_type="InvalidVerdict",
        detail=f"{detail}; expected {ACCEPTED}",
        hint=f"Let the evaluator return {ACCEPTED}.",
    )
