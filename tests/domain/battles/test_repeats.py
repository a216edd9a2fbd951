"""What a batch that repeats another shows."""

from __future__ import annotations

import pytest

from cornerman.domain.battles import Battle
from cornerman.domain.battles.ratings import change_finding, change_since, nothing_differs


def held(scores: list[float]) -> list[Battle]:
    return [
        Battle(id=f"b{n}", batch_id="x", persona_id=f"p{n}", status="scored", score=score)
        for n, score in enumerate(scores)
    ]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ([40, 50], [40, 50], "No battle went better or worse"),
        ([40] * 5, [80, 82, 81, 83, 84], "5 personas show nothing for sure"),
        ([40] * 10, [80, 82, 81, 83, 84, 80, 85, 81, 82, 83], "better with 95% confidence"),
        ([80, 82, 81, 83, 84, 80, 85, 81, 82, 83], [40] * 10, "worse with 95% confidence"),
        ([40, 60] * 5, [60, 40] * 5, "this may be chance"),
    ],
)
def test_the_finding_says_no_more_than_the_pairs(
    before: list[float], after: list[float], words: str
) -> None:
    first, second = held(before), held(after)
    unchanged = nothing_differs(first, second)
    assert words in change_finding(change_since(first, second), unchanged=unchanged)


def test_only_rated_battles_are_paired() -> None:
    lost = held([10, 20])[1].model_copy(update={"spoiled": True})
    again = held([30])[0].model_copy(update={"confirms": "b0"})
    change = change_since(held([40, 50]), [held([45])[0], lost, again])
    assert (change.n, change.mean) == (1, 5)
    assert not nothing_differs(held([40]), [])
