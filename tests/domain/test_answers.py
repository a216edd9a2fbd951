"""Answers of models, read as people would read them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cornerman.domain.answers import (
    json_object,
    json_text,
    lower_keys,
    read_money,
    read_score,
    score_in_text,
)


@pytest.mark.parametrize(
    "text",
    [
        '{"score": 0.5}',
        '```json\n{"score": 0.5}\n```',
        'Here is my verdict:\n```\n{"score": 0.5}\n```\nI hope it helps.',
        '<think>{"score": 1}? No, less.</think>\n{"score": 0.5}',
        '{"score": 0.5,}',
        '```json\n{\n  "score": 0.5,\n}\n```',
        'Voici ma réponse : {"score": 0.5} Merci !',
        'Nach {Abwägung} aller Punkte: {"score": 0.5,}',
    ],
)
def test_an_object_is_found_wherever_it_stands(text: str):
    assert json_object(text) == {"score": 0.5}


def test_what_a_verdict_says_about_thinking_is_no_thought():
    text = '{"reason": "it only said <think>", "score": 0.5}'
    assert json_object(text) == {"reason": "it only said <think>", "score": 0.5}


def test_commas_inside_texts_stay():
    assert json.loads(json_text('{"a": "x,}", "b": [1, 2,],}')) == {"a": "x,}", "b": [1, 2]}


@pytest.mark.parametrize("text", ["", "no", "[1, 2]", "{" * 5000, '{"a": ', "```json\n```"])
def test_what_holds_none_says_so(text: str):
    with pytest.raises(ValueError, match=r"JSON|Expecting"):
        json_object(text)


def test_keys_are_read_in_any_case():
    assert lower_keys({"Score": 1, "Sub Scores": [{"Name": "a"}]}) == {
        "score": 1,
        "sub_scores": [{"name": "a"}],
    }


@pytest.mark.parametrize(
    ("value", "most", "score"),
    [
        (0.9, 1, 0.9), (1, 1, 1), ("0.9", 1, 0.9), ("0,9", 1, 0.9), ("8/10", 1, 0.8),
        ("8 out of 10", 1, 0.8), ("85%", 1, 0.85), (85, 1, 0.85), ("85", 1, 0.85),
        ("85 of 100", 1, 0.85), ("**4/5**", 1, 0.8), (70, 100, 70), ("8/10", 100, 80),
        ("70%", 100, 70), ("3 von 4", 100, 75),
    ],
)  # fmt: skip
def test_plain_scales_are_read(value: Any, most: float, score: float):
    assert read_score(value, most) == pytest.approx(score)


@pytest.mark.parametrize(
    ("value", "most"),
    [
        (5, 1), (8, 1), (10, 1), (101, 1), (-1, 1), (True, 1), (None, 1), ("good", 1), ("9/8", 1),
        (float("nan"), 1), (float("inf"), 100), (101, 100), ([], 1), ("0.9 or 0.8", 1),
    ],
)  # fmt: skip
def test_unclear_ones_are_not(value: Any, most: float):
    with pytest.raises(ValueError, match="score"):
        read_score(value, most)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Score: 8/10", 0.8), ("0.7", 0.7), ("85", 0.85), ("It is good.\n\n**Score:** 0.75", 0.75),
        ("<think>hm 3</think> Score = 90%", 0.9), ("Rating: 4 out of 5 stars", 0.8),
    ],
)  # fmt: skip
def test_a_score_without_json_is_read(text: str, score: float):
    assert score_in_text(text, 1) == pytest.approx(score)


@pytest.mark.parametrize(
    "text", ["", "fine", "Score: 0.2 or Score: 0.9", "Score: high", "Score: 7"]
)
def test_no_score_is_made_up(text: str):
    with pytest.raises(ValueError, match="score"):
        score_in_text(text, 1)


@pytest.mark.parametrize(
    ("value", "money"),
    [("$350", 350), ("1,350.50 USD", 1350.5), (5, 5), (None, None), ("none", None), (True, None)],
)
def test_prices_are_read_as_they_are_written(value: Any, money: float | None):
    assert read_money(value) == money
