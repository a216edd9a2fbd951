"""`numeric`: whether the last number of an output is the expected number."""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cornerman.domain.json_values import problem
from cornerman.domain.training.cases import EvaluationContext, Score
from cornerman.evaluators.text import as_text, expected_of

# Languages that write a decimal comma (CLDR's decimal symbol); all others write a point.
_COMMA = frozenset(
    (
        *("az", "be", "bg", "bs", "ca", "cs", "da", "de", "el", "es", "et", "eu", "fi", "fr", "hr"),
        *("hu", "id", "is", "it", "ka", "kk", "lt", "lv", "mk", "nb", "nl", "nn", "no", "pl", "pt"),
        *("ro", "ru", "sk", "sl", "sq", "sr", "sv", "tr", "uk", "vi"),
    )
)
_LOCALE = re.compile(r"([a-z]{2,3})(?:[-_][A-Za-z]{2,4})*")
# Space, no-break space, thin space, narrow no-break space.
_SPACES = " \u00a0\u2009\u202f"
_POWERS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_SCALES = {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_FRAC = re.compile(r"\\[dt]?frac\s*\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}")
_CURRENCY = re.compile(r"[$€£]\s?")
_OPENED = re.compile(r"\([$€£]\s?$")
# A minus is a sign only where it touches the number and no word or number touches it: `16-3` and
# `16 - 3` end in 3, and so does the list item `- 3`.
_MINUS = re.compile(r"(?<![\w.)%])[-−]$")


@cache
def _number(comma: bool) -> re.Pattern[str]:
    """One number of a text, with what belongs to its size."""
    point, group = (",", r"\.") if comma else (r"\.", ",")
    grouped = "|".join(
        rf"{before}\d{{1,3}}(?:{mark}\d{{3}})+(?!\d)"
        for mark, before in ((group, ""), (f"[{_SPACES}]", rf"(?<![\d.,][{_SPACES}])(?<!\d)"))
    )
    size = rf"(?P<size>(?:{grouped}|\d+)(?:{point}\d+)?|{point}\d+)"
    raised = r"(?:\^\{?(?P<power>[-−]?\d{1,3})\}?|(?P<raised>[⁻⁰-⁹¹²³]+))"
    power = rf"\s?(?:[x×·*]|\\times|\\cdot)\s?10{raised}"
    exponent = r"(?P<exponent>[eE][-+]?\d{1,3})(?!\w)"
    scale = rf"\s?(?P<scale>{'|'.join(_SCALES)})\b"
    whole = r"(?:(?P<whole>\d+)[ ])?(?P<above>\d+)\s?/\s?(?P<below>\d+)(?![\d/.,])"
    return re.compile(rf"(?<![\d/])(?:{whole})|{size}(?:{power}|{exponent}|{scale})?")


def last_number(value: Any, *, comma: bool = False) -> float | None:
    """Return a number as it is, or the last one in a text; None when there is none.

    Takes thousands with commas or spaces, currency and signs on either side of it, brackets for
    a loss (`($5)`), exponents, powers of ten, fractions and scales; docs/numeric.md has them all.

    Args:
        comma: The decimal sign is a comma, and thousands have points.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return float(value)
    text = _FRAC.sub(r" \1/\2", as_text(value))
    numbers = list(_number(comma).finditer(text))
    if not numbers:
        return None
    found = numbers[-1]
    size = _size(found, comma)
    front = text[max(0, found.start() - 8) : found.start()]
    # Accounts write a loss in brackets. Without a currency `(5)` is the answer's number.
    is_loss = _OPENED.search(front) is not None and text[found.end() :].startswith(")")
    return -size if is_loss or _MINUS.search(_CURRENCY.sub("", front)) else size


def _size(found: re.Match[str], comma: bool) -> float:
    if found["above"] is not None:
        below = int(found["below"])
        # What is divided by nothing is no fraction: its last number counts, as in `3/0`.
        return int(found["whole"] or 0) + int(found["above"]) / below if below else 0.0
    digits = re.sub(rf"[{_SPACES}{'.' if comma else ','}]", "", found["size"]).replace(",", ".")
    power = (found["power"] or found["raised"] or "").translate(_POWERS).replace("−", "-")
    size = float(f"{digits}{found['exponent'] or ''}" + (f"e{power}" if power else ""))
    return size * _SCALES.get(found["scale"] or "", 1.0)


class Numeric(BaseModel):
    """Whether the output's last number is close enough to the expected output's."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    instant: ClassVar[bool] = True

    tolerance: float = Field(1e-9, ge=0, description="Largest difference that counts as equal.")
    relative: float = Field(1e-8, ge=0, lt=1, description="The same, as a share of the larger.")
    locale: str = Field(
        "en", description="Language of the numbers, such as de: it decides the decimal sign."
    )

    @field_validator("locale")
    @classmethod
    def _known(cls, value: str) -> str:
        if not _LOCALE.fullmatch(value):
            raise problem(f"{value!r} is not a locale; write it as en, de or pt-BR")
        return value

    def __call__(self, context: EvaluationContext) -> Score:
        comma = self.locale[:2] in _COMMA
        expected = last_number(expected_of(context), comma=comma)
        if expected is None:
            raise ValueError(f"expected_output {context.expected_output!r} holds no number")
        given = last_number(context.output, comma=comma)
        if given is None:
            return Score(0.0, f"no number in the output; expected {expected:g}")
        if math.isclose(given, expected, rel_tol=self.relative, abs_tol=self.tolerance):
            return Score(1.0)
        return Score(0.0, f"got {given:.10g}, expected {expected:.10g}")
