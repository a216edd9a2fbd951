"""Turning pydantic's refusals into sentences that name the variable, the value and the limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from cornerman.settings.masks import SECRETS, shown

_WHOLE_NUMBER = "be a whole number"
_NUMBER = "be a number"
_NEEDS = {
    "int_parsing": _WHOLE_NUMBER,
    "int_from_float": _WHOLE_NUMBER,
    "int_parsing_size": _WHOLE_NUMBER + " of reasonable size",
    "float_parsing": _NUMBER,
    "finite_number": "be a finite number",
    "bool_parsing": "be true or false",
}
_LIMITS = {
    "greater_than_equal": ("ge", "be at least {}"),
    "greater_than": ("gt", "be more than {}"),
    "less_than_equal": ("le", "be at most {}"),
    "less_than": ("lt", "be less than {}"),
}


@dataclass(frozen=True)
class SettingProblem:
    """What is wrong with one variable, and what mends it."""

    name: str
    problem: str
    fix: str


def problems_of(
    error: ValidationError, values: Mapping[str, str], sources: Mapping[str, str]
) -> list[SettingProblem]:
    """List what pydantic refused, one entry a variable, secrets left out."""
    details = error.errors(include_url=False, include_input=False)
    # A default that waits for another, refused variable is no problem of its own.
    refused = [detail for detail in details if detail["type"] != "default_factory_not_called"]
    problems = [_problem(detail, values, sources) for detail in refused]
    return sorted(problems, key=lambda problem: problem.name)


def _problem(
    detail: ErrorDetails, values: Mapping[str, str], sources: Mapping[str, str]
) -> SettingProblem:
    name = str(detail["loc"][0]).upper() if detail["loc"] else "settings"
    value = values.get(name)
    need = _need(detail)
    quoted = value is not None and name not in SECRETS and name != "MODEL_PRICES"
    said = f"is {shown(name, value)!r}; it must" if quoted and value is not None else "must"
    place = {".env": "in .env", "environment": "in the environment"}.get(sources.get(name, ""), "")
    return SettingProblem(
        name,
        f"{name} {said} {need}.",
        f"Change {name} {place}".rstrip() + ", or remove it for the default.",
    )


def _need(detail: ErrorDetails) -> str:
    kind, facts = detail["type"], detail.get("ctx", {})
    if kind in _LIMITS:
        fact, text = _LIMITS[kind]
        return text.format(_plain(facts[fact]))
    if kind == "value_error":
        return str(facts["error"])
    return _NEEDS.get(kind, f"be valid ({detail['msg']})")


def _plain(limit: Any) -> str:
    return f"{limit:g}" if isinstance(limit, float) and limit < 1e6 else f"{limit:.0f}"
