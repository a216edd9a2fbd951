"""Rewrites that are refused before any case is spent."""

from __future__ import annotations

import pytest

from cornerman.domain.training.cases import Case
from cornerman.domain.training.search import placeholders, refuse_rewrite

QUESTION = "I have a flute, a piano, four stoves and a violin. How many instruments do I have?"
CASES = [
    Case("0", 0, {"question": QUESTION}, "3"),
    Case("1", 1, {"question": "Where is my new card now?"}, "card_arrival_and_delivery"),
    Case("2", 2, {"items": ["short"]}, "first the ones then the tens and then we carry the rest"),
]
OLD = "Answer the {question} briefly."


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (" \n", "is empty"),
        (OLD + "\n", "is the same"),
        ("Think about {question}. " + "x" * 4000, "the bound is 4000"),
        ("Think step by step.", "lost the placeholder {question}"),
        (f"{{question}} Example: {QUESTION} 3", "copies an input of train case 0"),
        ("{question} When asked 'where is my NEW card, now' say so.", "train case 1"),
        (
            "{question} e.g. a flute, a piano, four stoves and a violin are three",
            "copies train case 0",
        ),
        (
            "{question}: first the ones, then the tens and then we carry.",
            "copies train case 2",
        ),
    ],
)
def test_refuses(text: str, reason: str) -> None:
    found = refuse_rewrite(text, OLD, CASES)
    assert found is not None
    assert reason in found


@pytest.mark.parametrize(
    "text",
    [
        "Count each of the objects in {question} with its number, then add.",
        "{question}: answer with a label such as card_arrival_and_delivery.",
        "{question} - count flutes, pianos and violins as instruments, not stoves.",
    ],
)
def test_lets_lessons_pass(text: str) -> None:
    assert refuse_rewrite(text, OLD, CASES) is None


def test_what_the_old_prompt_said_may_stay() -> None:
    old = f"Example: {QUESTION} {{question}}"
    assert refuse_rewrite(old + " Be brief.", old, CASES) is None


def test_wording_that_most_cases_share_is_not_a_copy() -> None:
    shared = "Sort the following words in alphabetical order from first to last: "
    cases = [Case(str(n), n, {"q": f"{shared} word{n} other{n} third{n}"}) for n in range(20)]
    assert refuse_rewrite(f"You are asked: {shared} do it letter by letter.", "Hi", cases) is None
    assert refuse_rewrite(f"Such as {shared} word3 other3", "Hi", cases) is not None


def test_a_long_prompt_may_grow_to_three_times_its_length() -> None:
    old = "a b " * 1000
    assert refuse_rewrite("c d " * 2900, old, []) is None
    assert refuse_rewrite("c d " * 3100, old, []) is not None
    assert refuse_rewrite("four", "old", [], max_chars=3) is not None


def test_doubled_braces_are_no_placeholders() -> None:
    assert placeholders('{a} {{b}} {"c": 1} {d.e} {}') == {"a", "d.e"}
