"""What agents return, as the JSON that rows, events and evaluators see."""

from __future__ import annotations

import dataclasses
import enum
import json
from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from cornerman.domain.json_values import as_json


class Answer(BaseModel):
    text: str
    at: date = date(2026, 1, 31)


@dataclasses.dataclass
class Pair:
    left: Any
    right: Any = None


class Colour(enum.StrEnum):
    RED = "red"


class Word(str):
    def __str__(self) -> str:
        return "something else"


class Odd:
    def __str__(self) -> str:
        return "odd"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        (None, None),
        (True, True),
        (3, 3),
        (2.5, 2.5),
        (float("nan"), None),
        (float("-inf"), None),
        ((1, "a"), [1, "a"]),
        ({"a": (1,)}, {"a": [1]}),
        ({1: {2}}, {"1": [2]}),
        (b"bytes \xff", "bytes \ufffd"),
        (Answer(text="hi"), {"text": "hi", "at": "2026-01-31"}),
        (Pair(1, Pair(2)), {"left": 1, "right": {"left": 2, "right": None}}),
        (Pair(Odd()), {"left": "odd", "right": None}),
        (SimpleNamespace(content="a message"), "a message"),
        ({"messages": [SimpleNamespace(content="m")]}, {"messages": ["m"]}),
        (Colour.RED, "red"),
        (Word("word"), "word"),
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.array([[1, 2]]), [[1, 2]]),
        ({"score": np.float64("nan")}, {"score": None}),
        (Decimal("1.10"), "1.10"),
        (Odd(), "odd"),
        (Answer, str(Answer)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_output_becomes_json(value: Any, expected: Any):
    found = as_json(value)
    assert found == expected
    assert type(found) is type(expected)
    json.dumps(found, allow_nan=False)


def test_what_is_nested_too_deeply_is_cut_off():
    deep: list[Any] = []
    deep.append(deep)
    text = json.dumps(as_json(deep))
    assert text == "[" * 50 + '"(nested too deeply)"' + "]" * 50
