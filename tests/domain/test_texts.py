from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cornerman.domain.texts import DiffPart, prompt_diff

texts = st.text(alphabet="ab .\nü’\u2028", max_size=60)


def spelled(parts: list[DiffPart], *ops: str) -> str:
    return "".join(part.text for part in parts if part.op in ops)


@given(texts, texts)
def test_parts_spell_both_texts(before: str, after: str) -> None:
    parts = prompt_diff(before, after)
    assert spelled(parts, "equal", "delete") == before
    assert spelled(parts, "equal", "insert") == after


@given(texts, texts)
def test_neighbours_differ_in_kind_and_no_part_is_empty(before: str, after: str) -> None:
    parts = prompt_diff(before, after)
    assert all(part.text for part in parts)
    assert all(one.op != two.op for one, two in pairwise(parts))


def test_replaces_a_whole_word_not_its_letters() -> None:
    assert prompt_diff("Count the cats.", "Count the cows.") == [
        DiffPart("equal", "Count the "),
        DiffPart("delete", "cats"),
        DiffPart("insert", "cows"),
        DiffPart("equal", "."),
    ]


def test_joins_changes_around_a_word_that_matches_by_chance() -> None:
    parts = prompt_diff("Be polite and give much detail", "First list and then count items")
    assert [part.op for part in parts] == ["delete", "insert"]


def test_equal_texts_are_one_equal_part() -> None:
    assert prompt_diff("same\ntext", "same\ntext") == [DiffPart("equal", "same\ntext")]


def test_empty_texts_have_no_parts() -> None:
    assert prompt_diff("", "") == []


def test_a_megabyte_in_one_line_is_shown_as_replaced() -> None:
    parts = prompt_diff("old word " * 120_000, "new word " * 120_000)
    assert [part.op for part in parts] == ["delete", "insert"]
