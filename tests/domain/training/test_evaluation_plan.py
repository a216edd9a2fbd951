"""Which columns an evaluation has, what each is compared with, and where a bar is not met."""

from __future__ import annotations

import pytest

from cornerman.domain.errors import BadInputError
from cornerman.domain.statistics import Interval, PairedInterval
from cornerman.domain.training.candidates import Prompt
from cornerman.domain.training.evaluation import (
    MOST_COLUMNS,
    Column,
    Comparison,
    plan_columns,
    same_prompts,
    shortfalls,
)


def planned(columns: list[Column]) -> list[tuple[str | None, str | None, str | None, bool]]:
    """Source, model asked for, the source compared with, whether it is judged."""
    by_id = {column.id: column for column in columns}
    return [
        (c.checkpoint, c.override, by_id[c.against].checkpoint if c.against else None, c.judged)
        for c in columns
    ]


def test_every_set_of_prompts_is_scored_with_every_model() -> None:
    columns = plan_columns({None: None, "b": None}, ["m", "n"], None)
    assert [(c.checkpoint, c.override) for c in columns] == [
        *((None, "m"), (None, "n")),
        *(("b", "m"), ("b", "n")),
    ]


def test_the_bar_is_scored_with_the_same_model_and_is_not_judged() -> None:
    columns = plan_columns({None: "own"}, ["m"], "b", bar_model="own")
    assert planned(columns) == [(None, "m", "b", True), ("b", "m", None, False)]


def test_the_bars_own_prompts_with_another_model_are_compared_with_them_as_they_are() -> None:
    columns = plan_columns({"b": "own"}, ["m"], "b", bar_model="own")
    assert planned(columns) == [("b", "m", "b", True), ("b", None, None, False)]


@pytest.mark.parametrize("models", [[], ["own"]])
def test_nothing_but_the_bar_itself_is_refused(models: list[str]) -> None:
    with pytest.raises(BadInputError, match="nothing to compare it with") as refused:
        plan_columns({"b": "own"}, models, "b", bar_model="own")
    assert refused.value.field == "not_worse_than"


def test_to_ask_for_the_models_that_prompts_name_is_no_other_column() -> None:
    columns = plan_columns({None: "own"}, ["own", "m"], None)
    assert [(c.checkpoint, c.override) for c in columns] == [(None, None), (None, "m")]


def test_a_spec_with_the_bars_prompts_is_compared_with_nothing_and_paid_for_once() -> None:
    columns = plan_columns({None: "own"}, [], "b", bar_model="own", like_bar={None})
    assert planned(columns) == [(None, None, None, True)]


def test_too_many_columns_are_refused_with_their_number() -> None:
    models = [f"m{n}" for n in range(MOST_COLUMNS + 1)]
    with pytest.raises(BadInputError, match=f"21 columns are over the limit of {MOST_COLUMNS}"):
        plan_columns({None: None}, models, None)


def test_what_the_agent_does_not_see_makes_no_other_prompts() -> None:
    one = Prompt(text="Say it.", requires_grad=True, metadata={"by": "Ada"})
    assert same_prompts({"system": one}, {"system": Prompt(text="Say it.")})
    assert not same_prompts({"system": one}, {"system": Prompt(text="Say it.", model="m")})


def column(name: str, against: str | None = None, *, judged: bool = True) -> Column:
    return Column(name, None, None, model=name, against=against, judged=judged)


def test_a_mean_at_the_bar_passes_and_one_below_it_does_not() -> None:
    scores = [
        (column("a"), Interval(0.8, 0.6, 0.9, 10)),
        (column("b"), Interval(0.79, 0.6, 0.9, 10)),
        (column("c"), Interval(None, None, None, 0)),
        (column("d", judged=False), Interval(0.1, 0.0, 0.3, 10)),
    ]
    found = shortfalls(scores, [], 0.8)
    assert [(one.column.id, one.bar) for one in found] == [("b", "min_score"), ("c", "min_score")]
    assert "0.7900 is below min_score of 0.8" in found[0].text
    assert "no case has a score" in found[1].text


@pytest.mark.parametrize(("high", "falls_short"), [(-0.01, True), (0.0, False), (0.01, False)])
def test_worse_is_an_interval_that_lies_below_0(high: float, falls_short: bool) -> None:
    bar, mine = column("bar"), column("mine", "bar")
    change = PairedInterval(-0.2, -0.4, high, 20)
    found = shortfalls([], [Comparison(bar, mine, change)], None)
    assert [one.bar for one in found] == (["not_worse_than"] if falls_short else [])


def test_a_comparison_that_is_no_bar_never_falls_short() -> None:
    change = PairedInterval(-0.5, -0.6, -0.4, 20)
    assert shortfalls([], [Comparison(column("a"), column("b"), change)], None) == []
