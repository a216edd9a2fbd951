"""Which rewrites are worth a full validation."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cornerman.domain.training.search import accept_child

ROW = st.lists(st.floats(0, 1), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("parent", "child", "accepted", "reason"),
    [
        ({"a": 0, "b": 0, "c": 1}, {"a": 1, "b": 1, "c": 1}, True, "gain +0.667 on 3 cases"),
        ({"a": 0, "b": 1, "c": 1}, {"a": 1, "b": 1, "c": 1}, True, "gain +0.333"),
        ({"a": 0, "b": 1}, {"a": 0, "b": 1}, False, "no gain"),
        ({"a": 0.5, "b": 1}, {"a": 1, "b": 0}, False, "no gain"),
        ({"a": 0.5, "b": 0.9}, {"a": 0.9, "b": 0.6}, False, "within noise"),
        ({}, {"a": 1}, False, "no case was scored for both"),
        ({"a": 0.2}, {"a": 0.3}, True, "gain +0.100 on 1 cases"),
    ],
)
def test_asks_for_a_gain_beyond_half_its_error(
    parent: dict[str, float], child: dict[str, float], accepted: bool, reason: str
) -> None:
    found = accept_child(parent, child)
    assert found.accepted is accepted
    assert found.reason.startswith(reason)


def test_strict_takes_any_gain() -> None:
    parent, child = {"a": 0.5, "b": 0.9}, {"a": 0.9, "b": 0.6}
    assert accept_child(parent, child, mode="strict").accepted


def test_repeats_show_noise_that_single_runs_hide() -> None:
    steady: dict[str, Any] = {"a": [0.5, 0.5], "b": [0.5, 0.5]}
    shaky: dict[str, Any] = {"a": [0.1, 1.0], "b": [1.0, 0.1]}
    assert not accept_child(steady, shaky).accepted
    assert accept_child(steady, {"a": [0.55, 0.55], "b": [0.55, 0.55]}).accepted


def test_only_cases_that_both_have_are_compared() -> None:
    found = accept_child({"a": 0.5, "errored": 1.0}, {"a": 0.6, "new": 0.0})
    assert found.accepted
    assert found.gain == pytest.approx(0.1)


@given(ROW, ROW)
def test_a_child_and_its_parent_are_never_both_better(
    first: list[float], second: list[float]
) -> None:
    one = {str(place): score for place, score in enumerate(first)}
    two = {str(place): score for place, score in enumerate(second)}
    assert not (accept_child(one, two).accepted and accept_child(two, one).accepted)
