"""Which candidates may be rewritten, and how often."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from cornerman.domain.training.search import draw_parent, pareto_weights

SCORES = st.dictionaries(
    st.sampled_from(["c0", "c1", "c2", "c3", "c4"]),
    st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=4, max_size=4).map(
        lambda row: {f"case{place}": score for place, score in enumerate(row)}
    ),
    min_size=1,
)


def test_a_specialist_keeps_its_chance() -> None:
    weights = pareto_weights(
        {"generalist": {"a": 1, "b": 1, "c": 0}, "specialist": {"a": 0, "b": 0, "c": 1}}
    )
    assert weights == {"generalist": 2, "specialist": 1}


def test_a_dominated_candidate_is_off_the_front() -> None:
    weights = pareto_weights({"c0": {"a": 1, "b": 0}, "c1": {"a": 1, "b": 1}})
    assert weights == {"c1": 2}


def test_of_two_equals_one_stays() -> None:
    assert len(pareto_weights({"c0": {"a": 1}, "c1": {"a": 1}})) == 1


def test_without_scores_each_has_the_same_chance() -> None:
    assert pareto_weights({"c0": {}, "c1": {}}) == {"c0": 1, "c1": 1}


@given(SCORES)
def test_every_case_has_a_leader_on_the_front(scores: dict[str, dict[str, float]]) -> None:
    front = pareto_weights(scores)
    for case_id in ("case0", "case1", "case2", "case3"):
        best = max(row[case_id] for row in scores.values())
        assert any(scores[name][case_id] == best for name in front)
    assert all(weight > 0 for weight in front.values())


@given(SCORES)
def test_the_order_of_candidates_does_not_matter(scores: dict[str, dict[str, float]]) -> None:
    backward = dict(reversed(scores.items()))
    assert pareto_weights(scores) == pareto_weights(backward)


def test_draws_by_weight_and_by_seed_alone() -> None:
    weights = {"c1": 3.0, "c0": 1.0}
    drawn = Counter(draw_parent(weights, random.Random(f"0/parent/{n}")) for n in range(1000))
    assert 700 < drawn["c1"] < 800
    mirrored = {"c0": 1.0, "c1": 3.0}
    assert draw_parent(weights, random.Random(5)) == draw_parent(mirrored, random.Random(5))
