"""`numeric`: whether the last number of an output is the expected number."""

from __future__ import annotations

import math
import re
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from cornerman.domain.training.cases import EvaluationContext, Score
from cornerman.evaluators.text import as_text, expected_of

_NUMBER = re.compile(
    r"(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{1,3}(?!\w))?"
)
_CURRENCY = re.compile(r"[$€£]\s?")
# A minus is a sign only where it touches the number and no word or number touches it: `16-3` and
# `16 - 3` end in 3, and so does the list item `- 3`.
_MINUS = re.compile(r"(?<![\w.)%])[-−]$")


def last_number(value: Any) -> float | None:
    """Return a number as it is, or the last one in a text; None when there is none.

    Takes thousands with commas, a currency sign, signs on either side of it, and exponents.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return float(value)
    numbers = list(_NUMBER.finditer(as_text(value)))
    if not numbers:
        return None
    found = numbers[-1]
    size = float(found[0].replace(",", ""))
    before = _CURRENCY.sub("", found.string[max(0, found.start() - 8) : found.start()])
    return -size if _MINUS.search(before) else size


class Numeric(BaseModel):
    """Whether the output's last number is close enough to the expected output's."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    instant: ClassVar[bool] = True

    tolerance: float = Field(1e-9, ge=0, description="Largest difference that counts as equal.")
    relative: float = Field(0.0, ge=0, lt=1, description="The same, as a share of the larger.")

    def __call__(self, context: EvaluationContext) -> Score:
        expected = last_number(expected_of(context))
        if expected is None:
            raise ValueError(f"expected_output {context.expected_output!r} holds no number")
        given = last_number(context.output)
        if given is None:
            return Score(0.0, f"no number in the output; expected {expected:g}")
        if math.isclose(given, expected, rel_tol=self.relative, abs_tol=self.tolerance):
            return Score(1.0)
        return Score(0.0, f"got {given:.10g}, expected {expected:.10g}")
