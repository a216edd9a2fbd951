"""Users' patterns: they mean what they mean to Python, and always come back."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cornerman.domain.datasets import DatasetOptions
from cornerman.domain.datasets.load import load_cases
from cornerman.domain.errors import BadInputError
from cornerman.domain.patterns import PatternError, compile_pattern
from cornerman.domain.training.cases import EvaluationContext
from cornerman.evaluators.json_schema import JsonSchema
from cornerman.evaluators.text import Regex

# Python's engine tries 2 ** 5000 ways before it says no.
ENDLESS = "a" * 5_000 + "!"
ENDLESS_PATTERNS = ["(a+)+$", "^(a|a)*$", "(a|aa)+$", "^(([a-z])+.)+[A-Z]([a-z])+$", "(.*)*x"]


def context(output: Any, expected: Any = None) -> EvaluationContext:
    return EvaluationContext({}, output, expected, {}, 1.0)


@pytest.mark.parametrize("pattern", ENDLESS_PATTERNS)
def test_a_pattern_that_would_try_for_ever_comes_back(pattern: str) -> None:
    assert compile_pattern(pattern).search(ENDLESS) is None
    assert compile_pattern(pattern).fullmatch(ENDLESS) is None
    assert Regex(pattern=pattern)(context(ENDLESS)).value == 0  # pyright: ignore
    assert Regex()(context(ENDLESS, pattern)).value == 0  # pyright: ignore


@pytest.mark.parametrize("pattern", ENDLESS_PATTERNS)
def test_a_schemas_patterns_come_back(pattern: str) -> None:
    assert JsonSchema({"pattern": pattern})(context(f'"{ENDLESS}"')).value == 0
    keyed = {"patternProperties": {pattern: {"type": "null"}}, "additionalProperties": False}
    assert JsonSchema(keyed)(context({ENDLESS: 1})).value == 0
    old = {"$schema": "http://json-schema.org/draft-04/schema#", "pattern": pattern}
    assert JsonSchema(old)(context(f'"{ENDLESS}"')).value == 0


def test_a_datasets_pattern_comes_back() -> None:
    case = {"inputs": {"q": 1}, "expected_output": ENDLESS}
    dataset = DatasetOptions.model_validate({"cases": [case], "expected_pattern": "(a+)+$"})
    with pytest.raises(BadInputError, match="not found in the expected output"):
        load_cases(dataset)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"^\d+$", "42\n"),
        (r"\w+", "é"),
        (r"^\w$", "漢"),
        (r"^[\W_]+$", "-_‿ \t€"),
        (r"[^\W\d]+", "é1"),
        (r"^\W$", "é"),
        (r"\u00e9", "é"),
        (r"[]a]+", "]a"),
        (r"a{,3}b", "aab"),
        (r"^a{,3}$", "a{,3}"),
        (r"a\Z", "a\n"),
        (r"^\s$", "\u2003"),
        (r"^\S+$", "é!\x00"),
        (r"(?m)a$", "a\nb"),
        (r"a$", "a\nb"),
        (r"\d", "٣"),
        (r"^\D$", "٣"),
        (r"[\b]", "\x08"),
        (r"[$]", "$"),
        (r"(?i)STRASSE|(?s:a.b)", "a\nb"),
        (r"(?P<year>\d{4})-\d\d", "2026-11"),
    ],
)
def test_a_pattern_means_what_it_means_to_python(pattern: str, text: str) -> None:
    theirs, ours = re.search(pattern, text), compile_pattern(pattern).search(text)
    assert (ours is None) == (theirs is None)
    if ours is not None and theirs is not None:
        assert ours[1:] == theirs.groups()


@pytest.mark.parametrize(
    ("pattern", "lacks"),
    [
        ("(?=x)", "look-around"),
        ("(?<!x)y", "look-around"),
        (r"(x)\1", "references back"),
        (r"(?P<a>x)(?P=a)", "references back"),
        ("a++", "possessive"),
        ("(?>a)", "possessive"),
        ("(x)?(?(1)a|b)", "conditions"),
        ("a{1001}", "1,000"),
        ("(?x) a", "flags"),
    ],
)
def test_what_the_engine_lacks_is_said(pattern: str, lacks: str) -> None:
    with pytest.raises(PatternError, match=f"{lacks}.*RE2"):
        compile_pattern(pattern)
    with pytest.raises(ValueError, match=lacks):
        Regex(pattern=pattern)  # pyright: ignore
    with pytest.raises(ValueError, match=lacks):
        JsonSchema({"properties": {"pattern": {"pattern": pattern}}})


def test_half_a_character_is_no_pattern_and_no_match() -> None:
    assert compile_pattern("x").search("\ud800x") == ("x",)
    assert compile_pattern("\ud800").search("y") is None


def test_a_schema_keeps_its_meaning() -> None:
    schema = {
        "properties": {"pattern": {"type": "string"}},
        "patternProperties": {"^x-": {"type": "number"}},
        "additionalProperties": {"enum": [1]},
    }
    assert JsonSchema(schema)(context({"pattern": "(", "x-a": 2, "b": 1})).value == 1
    assert JsonSchema(schema)(context({"x-a": "two"})).value == 0
    assert JsonSchema(schema)(context({"b": 2})).value == 0
    with pytest.raises(ValueError, match="unevaluatedProperties"):
        JsonSchema({"patternProperties": {"a": {}}, "unevaluatedProperties": False})
