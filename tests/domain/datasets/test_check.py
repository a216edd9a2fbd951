"""What is wrong with a dataset, told before a run; and how many cases a difference takes."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cornerman.domain.datasets import SplitOptions
from cornerman.domain.datasets.check import Checked, check_cases
from cornerman.domain.datasets.likeness import content_key, plain_text
from cornerman.domain.datasets.load import split_cases
from cornerman.domain.statistics import cases_for_gain, paired_improvement
from cornerman.domain.training.cases import Case

SPLIT = SplitOptions.model_validate({})


def dataset(count: int = 200, *more: tuple[Any, Any]) -> list[Case]:
    """Cases that are fine, and others after them."""
    rows = [(f"question {n}", f"answer {n}") for n in range(count)]
    return [
        Case(f"c{index}", index, {"q": asked} if isinstance(asked, str) else asked, expected)
        for index, (asked, expected) in enumerate([*rows, *more])
    ]


def found(checked: Checked) -> dict[str, str]:
    return {finding.kind: finding.level for finding in checked.findings}


def message(checked: Checked, kind: str) -> str:
    return next(finding.message for finding in checked.findings if finding.kind == kind)


def in_split(cases: list[Case], name: str) -> Case:
    return getattr(split_cases(cases, SPLIT), name)[0]


def test_a_dataset_without_a_fault_has_none() -> None:
    checked = check_cases(dataset(), SPLIT)
    assert (checked.findings, checked.faults, checked.labels) == ((), 0, {})
    assert checked.splits == {"train": 100, "validation": 60, "test": 40}


def test_exact_duplicates_are_a_fault_and_near_ones_a_warning() -> None:
    exact = check_cases(dataset(200, ("question 0", "answer 0")), SPLIT)
    assert found(exact)["duplicate"] == "fault"
    assert "1 case given more than once, such as c0, c200" in message(exact, "duplicate")
    near = check_cases(dataset(200, ("Question  0?", "ANSWER 0.")), SPLIT)
    assert found(near)["near_duplicate"] == "warning"
    assert "duplicate" not in found(near)


@pytest.mark.parametrize("spelling", ["question {}", " QUESTION {}!"])
def test_a_case_whose_like_is_in_an_earlier_split_is_a_leak(spelling: str) -> None:
    cases = dataset()
    number = in_split(cases, "train").index
    for extra in range(500):  # until one lies in test
        like = Case(f"x{extra}", 200, {"q": spelling.format(number)}, f"answer {number}")
        with_it = [*cases, like]
        if like in split_cases(with_it, SPLIT).test:
            break
    checked = check_cases(with_it, SPLIT)
    assert found(checked)["leak"] == "fault"
    assert "1 of 40 test cases found in an earlier split too" in message(checked, "leak")
    assert f"{like.id} (test) and c{number} (train)" in message(checked, "leak")


def test_the_same_question_in_two_splits_leaks_whatever_is_expected() -> None:
    cases = dataset()
    known = in_split(cases, "train")
    for extra in range(500):
        like = Case(f"x{extra}", 200, dict(known.inputs), "in other words")
        if like in split_cases([*cases, like], SPLIT).test:
            break
    assert found(check_cases([*cases, like], SPLIT))["leak"] == "fault"


def test_the_same_question_with_another_answer_is_a_contradiction() -> None:
    checked = check_cases(dataset(200, ("question 0", "something else")), SPLIT)
    assert found(checked)["contradiction"] == "warning"  # free texts may differ
    assert "c0 ('answer 0') and c200 ('something else')" in message(checked, "contradiction")
    rows = [(f"mail {n}", "spam" if n % 2 else "ham") for n in range(200)]
    labelled = check_cases(dataset(0, *rows, ("mail 0", "spam")), SPLIT)
    assert found(labelled)["contradiction"] == "fault"
    assert "no prompt gets all of them right" in message(labelled, "contradiction")
    near = check_cases(dataset(200, ("question 0!", "something else")), SPLIT)
    assert found(near)["near_contradiction"] == "warning"


def test_labels_are_counted_by_split_and_what_is_odd_is_said() -> None:
    rows = [*(["ham"] * 180), *(["spam"] * 19), "Spam "]
    cases = [Case(f"c{n}", n, {"q": f"mail {n}"}, label) for n, label in enumerate(rows)]
    checked = check_cases(cases, SPLIT)
    assert list(checked.labels) == ["ham", "spam", "Spam "]
    assert checked.labels["ham"]["all"] == 180
    sums = [sum(held[part] for held in checked.labels.values()) for part in checked.splits]
    assert sums == list(checked.splits.values())
    assert found(checked) == {"unbalanced": "warning", "label_spellings": "warning"} | (
        {"label_not_in_train": "warning"} if not checked.labels["Spam "]["train"] else {}
    )
    assert "90% of the cases expect 'ham'" in message(checked, "unbalanced")


def test_long_or_varied_outputs_are_no_labels() -> None:
    assert check_cases(dataset(30), SPLIT).labels == {}
    essays = [Case(f"c{n}", n, {"q": str(n)}, "x" * 100) for n in range(30)]
    assert check_cases(essays, SPLIT).labels == {}


@pytest.mark.parametrize(
    ("count", "options", "kinds"),
    [
        (9, {}, {"no_test_split": "fault"}),
        (12, {}, {"small_split": "fault"}),
        (120, {}, {"small_split": "warning"}),
        (120, {"train": 0.6, "validation": 0.4, "test": 0}, {"no_test_split": "warning"}),
    ],
)
def test_splits_that_show_nothing_are_a_fault(
    count: int, options: dict[str, Any], kinds: dict[str, str]
) -> None:
    checked = check_cases(dataset(count), SplitOptions.model_validate(options))
    assert found(checked) == kinds


def test_empty_inputs_and_missing_outputs_are_told() -> None:
    checked = check_cases(dataset(200, ({"q": " ", "r": None}, "x"), ("open", None)), SPLIT)
    assert found(checked) == {"empty_input": "fault", "no_expected_output": "warning"}
    assert "1 of 202 cases without an expected output" in message(checked, "no_expected_output")


def test_says_how_many_cases_a_gain_takes() -> None:
    checked = check_cases(dataset(), SPLIT, [0.1, 0.5])
    assert checked.precision == {
        "test_cases": 40,
        "interval_points": pytest.approx(29.6, abs=0.5),
        "gains": [
            {
                "gain": 0.1,
                "cases": 35,
                "likely": 71,
                "with_losses": 150,
                "dataset": 355,
                "enough": False,
            },
            {
                "gain": 0.5,
                "cases": 6,
                "likely": 8,
                "with_losses": 11,
                "dataset": 40,
                "enough": True,
            },
        ],
    }
    assert checked.as_dict()["faults"] == 0


def test_so_many_cases_show_the_gain_in_three_of_four_repetitions() -> None:
    gain, losses, repetitions = 0.2, 0.05, 60
    count, rng, shown = cases_for_gain(gain, losses=losses, power=0.8), random.Random(3), 0
    for repetition in range(repetitions):
        before, after = dict[str, float](), dict[str, float]()
        for case in range(count):
            drawn = rng.random()
            before[str(case)] = float(drawn >= gain + losses)
            after[str(case)] = float(not gain + losses <= drawn < gain + 2 * losses)
        shown += paired_improvement(before, after, repetition).better
    assert 0.6 <= shown / repetitions <= 0.95


@example(")", ")")
@given(st.text(), st.text())
def test_texts_are_alike_when_they_differ_in_nothing_that_counts(a: str, b: str) -> None:
    assert plain_text(f" {a}  {b}\n") == plain_text(f"{a} {b}")
    assert (content_key(a, b) == content_key(b, a)) == (a == b)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3 - 2", "3 + 2"),
        ("3.5", "35"),
        ("?", "!"),
        ({"a": "x"}, {"b": "x"}),
        (["a", "b"], ["ab"]),
        (1, True),
        ("a.b", "ab"),
    ],
)
def test_what_differs_in_meaning_stays_apart(one: Any, other: Any) -> None:
    assert plain_text(one) != plain_text(other)
