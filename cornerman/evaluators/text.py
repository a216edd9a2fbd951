"""Evaluators that compare text: `exact_match`, `contains` and `regex`."""

from __future__ import annotations

import json
import unicodedata
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cornerman.domain.json_values import problem
from cornerman.domain.patterns import PatternError, compile_pattern
from cornerman.domain.training.cases import EvaluationContext, Score


def as_text(value: Any) -> str:
    """Return an output as text: text as it is, objects and lists as JSON, the rest by `str`."""
    if isinstance(value, str):
        return value
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return "" if value is None else str(value)


def read_json(text: str) -> Any:
    """The object or list that a text is the JSON of, numbers by value; None when it is none."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return _by_value(json.loads(text))
    except (ValueError, RecursionError):
        return None


def _by_value(value: Any) -> Any:
    """JSON with `1.0` as `1`, which are one number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _by_value(held) for name, held in value.items()}
    return [_by_value(held) for held in value] if isinstance(value, list) else value


def expected_of(context: EvaluationContext) -> Any:
    """Return the case's expected output.

    Raises:
        ValueError: It has none; to score against nothing would blame the prompt for it.
    """
    if context.expected_output is None or context.expected_output == "":
        raise ValueError("the case has no expected_output to compare with")
    return context.expected_output


class _TextEvaluator(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    ignore_case: bool = Field(False, description="Take upper and lower case as equal.")


class ExactMatch(_TextEvaluator):
    """Whether the output is the expected output, and nothing besides it."""

    instant: ClassVar[bool] = True

    strip: bool = Field(True, description="Ignore space at both ends.")

    def __call__(self, context: EvaluationContext) -> Score:
        if context.output is None and context.expected_output is None:
            return Score(1.0)
        expected = expected_of(context)
        if context.output == expected:
            return Score(1.0)
        if self._plain(context.output) == self._plain(expected) or self._is_same_json(
            context.output, expected
        ):
            return Score(1.0)
        reason = f"expected {_short(expected)}"
        if isinstance(expected, bool) and isinstance(context.output, str):
            reason += ", which is a boolean, and the answer is text: put it in quotes"
        return Score(0.0, reason)

    def _is_same_json(self, output: Any, expected: Any) -> bool:
        """Whether a text is the JSON of the expected object or list, or of an equal text's."""
        sides = [
            read_json(side) if isinstance(side, str) else _by_value(side)
            for side in (output, expected)
        ]
        if not all(isinstance(side, (dict, list)) for side in sides):
            return False
        given, wanted = (self._plain(side) for side in sides)
        return given == wanted

    def _plain(self, value: Any) -> str:
        text = unicodedata.normalize("NFC", as_text(value))
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        text = text.strip() if self.strip else text
        return text.casefold() if self.ignore_case else text


class Contains(_TextEvaluator):
    """Whether the output holds the wanted texts."""

    instant: ClassVar[bool] = True

    value: str | list[str] | None = Field(
        None, description="Wanted text or texts; null: the expected output (each, if a list)."
    )
    require: Literal["all", "any"] = Field("all", description="How many of several must be there.")

    def __call__(self, context: EvaluationContext) -> Score:
        wanted = expected_of(context) if self.value is None else self.value
        texts = [as_text(text) for text in (wanted if isinstance(wanted, list) else [wanted])]
        output = self._plain(as_text(context.output))
        missing = [text for text in texts if self._plain(text) not in output]
        enough = not missing if self.require == "all" else len(missing) < len(texts)
        return Score(1.0) if enough else Score(0.0, f"missing {_short(missing)}")

    def _plain(self, text: str) -> str:
        return text.casefold() if self.ignore_case else text


class Regex(_TextEvaluator):
    """Whether the output matches a regular expression, by RE2: no look-around, no `\\1`."""

    pattern: str | None = Field(None, description="Null: the expected output is the pattern.")
    full: bool = Field(False, description="The whole output must match, not a part of it.")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            compile_pattern(value or "")
        except PatternError as error:
            raise problem(f"{value!r} is not a regular expression: {error}") from error
        return value

    def __call__(self, context: EvaluationContext) -> Score:
        pattern = as_text(expected_of(context)) if self.pattern is None else self.pattern
        compiled = compile_pattern(pattern, ignore_case=self.ignore_case, full=self.full)
        output = as_text(context.output)
        found = compiled.fullmatch(output) if self.full else compiled.search(output)
        return Score(1.0) if found else Score(0.0, f"no match of {_short(pattern)}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:199] + "…"
