"""Joining two rewrites of one prompt."""

from __future__ import annotations

import pytest

from cornerman.domain.training.candidates import Prompt
from cornerman.optimizers.proposals import merge_prompts, merge_texts

BASE = "Label the message. Be brief.\nUse the list."


def test_keeps_what_both_added() -> None:
    merged = merge_texts(BASE, f"{BASE}\nOne.", f"{BASE}\nTwo.")
    assert merged == "Label the message.\nBe brief.\nUse the list.\nOne.\nTwo."


def test_says_once_what_both_added() -> None:
    merged = merge_texts(BASE, f"{BASE}\nOne.\nTwo.", f"{BASE}\nTwo.")
    assert merged is not None
    assert merged.count("Two.") == 1


def test_applies_an_addition_and_a_replacement_elsewhere() -> None:
    merged = merge_texts(BASE, BASE.replace("Be brief.", "Be exact."), f"{BASE}\nOne.")
    assert merged == "Label the message.\nBe exact.\nUse the list.\nOne."


def test_keeps_a_sentence_dropped_when_the_other_left_it() -> None:
    merged = merge_texts(BASE, "Label the message.\nUse the list.", f"{BASE}\nOne.")
    assert merged == "Label the message.\nUse the list.\nOne."


def test_gives_up_when_both_change_one_sentence() -> None:
    changed = (BASE.replace("Be brief.", "Be exact."), BASE.replace("Be brief.", "Be kind."))
    assert merge_texts(BASE, *changed) is None


def test_gives_up_on_an_addition_inside_what_the_other_replaced() -> None:
    base = "One.\nTwo.\nThree."
    assert merge_texts(base, "One.\nTwo.\nMore.\nThree.", "Other.\nThings.") is None


@pytest.mark.parametrize("changed", [f"{BASE}\nOne.", "Anew.", ""])
def test_takes_the_only_change_as_it_is(changed: str) -> None:
    assert merge_texts(BASE, changed, BASE) == changed
    assert merge_texts(BASE, BASE, changed) == changed
    assert merge_texts(BASE, changed, changed) == changed


def test_joins_changes_of_different_prompts() -> None:
    base = {"a": Prompt(text="A."), "b": Prompt(text="B.")}
    one = base | {"a": Prompt(text="Another.")}
    other = base | {"b": Prompt(text="Both.")}
    merged = merge_prompts(base, one, other)
    assert merged is not None
    assert [prompt.text for prompt in merged.values()] == ["Another.", "Both."]
