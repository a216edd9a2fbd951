"""What an evaluation is asked to do: the one parameter of the flow `evaluate-workflow`.

Its columns: sets of prompts, each under a model, that are scored on the same cases.

Whether the columns meet the bar that was set.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from cornerman.domain.datasets.load import DatasetSplit
from cornerman.domain.errors import BadInputError
from cornerman.domain.json_values import FiniteNumber, JsonText
from cornerman.domain.runs import RunKind
from cornerman.domain.statistics import Interval, PairedInterval
from cornerman.domain.training import RUN_ID_PATTERN, TrainSpec, check_runnable
from cornerman.domain.training.candidates import Prompts
from cornerman.domain.training.cases import Case, Split

EvaluatedSplit = Literal["train", "validation", "test", "all"]
SPLITS: tuple[EvaluatedSplit, ...] = ("train", "validation", "test", "all")
# Names in place of a checkpoint's id.
BEST = "best"
OWN = "spec"
# What of `optimizer` an evaluation heeds.
LIMITS = (
    "case_timeout_seconds",
    "max_concurrency",
    "max_cost_usd",
    "max_seconds",
    "seed",
    "repeats",
)
# All pairs of them are compared.
MOST_COLUMNS = 20
# Means of the same scores may differ by so much.
_SAME = 1e-9

_Name = Annotated[JsonText, Field(min_length=1, max_length=256)]


class EvaluateParameters(TrainSpec):
    """A spec whose prompts are scored and not rewritten, and what they are compared with.

    Of `optimizer` the stops, time-outs, repeats and the seed hold; there is one epoch.
    """

    kind: ClassVar[RunKind] = "evaluate"

    run_id: str | None = Field(
        None,
        pattern=RUN_ID_PATTERN,
        description="The run's id; an id that exists continues that run where it was. Empty: the "
        "flow run gives it.",
        examples=["gate-2026-01-31"],
    )
    checkpoints: list[_Name] = Field(
        default_factory=list,
        max_length=MOST_COLUMNS,
        description="Ids of checkpoints whose prompts are scored, `best`, or `spec` for the "
        "request's own prompts. Empty: the request's own, else the best checkpoint's.",
        examples=[["best"]],
    )
    models: list[_Name] = Field(
        default_factory=list,
        max_length=MOST_COLUMNS,
        description="Models that each set of prompts is scored with, in place of its own.",
        examples=[["gpt-4o-mini", "gpt-4o"]],
    )
    split: EvaluatedSplit = Field(
        "all", description="Which of the dataset's cases are scored.", examples=["test"]
    )
    min_score: FiniteNumber | None = Field(
        None,
        ge=0,
        le=1,
        json_schema_extra={"minimum": 0, "maximum": 1},
        description="The bar: each column's mean must reach it.",
        examples=[0.8],
    )
    not_worse_than: JsonText | None = Field(
        None,
        min_length=1,
        max_length=128,
        json_schema_extra={"minLength": 1, "maxLength": 128},
        description="The bar: `best` or the id of a checkpoint. No column's paired 95% interval "
        "against it may lie below 0.",
        examples=["best"],
    )

    def check_prompts(self, prompts: Prompts, path: str | None = None) -> None:
        check_runnable(prompts, self.graph_config, path or "runnable_config.prompts")


@dataclass(frozen=True)
class Column:
    """One set of prompts under one model.

    Args:
        id: Of the candidate that the prompts are in this run.
        checkpoint: Id of the checkpoint that the prompts come from; None: the request's own.
        override: The model that was asked for in place of the prompts' own; None: their own.
        model: The model's name where it is known; None for an agent that chooses its own.
        against: Id of the column that it must not be worse than; None where none was asked for,
            or it is that column itself.
        judged: Whether it was asked for; others are there to be compared with, and meet no bar.
    """

    id: str
    checkpoint: str | None
    override: str | None
    model: str | None = None
    against: str | None = None
    judged: bool = True

    def as_dict(self) -> dict[str, Any]:
        """JSON form, with the fields' names."""
        return asdict(self)

    @property
    def name(self) -> str:
        """What tells the column from others, for people."""
        prompts = "spec" if self.checkpoint is None else self.checkpoint[:8]
        return f"{prompts} with {self.model}" if self.model else prompts


# The checkpoint (None: the request's own prompts) and the model in place of the prompts' own.
_Place = tuple[str | None, str | None]


def plan_columns(
    sources: Mapping[str | None, str | None],
    models: Sequence[str],
    bar: str | None,
    *,
    bar_model: str | None = None,
    like_bar: Container[str | None] = (),
) -> list[Column]:
    """Every set of prompts under every model, and what the bar needs to compare them with.

    A column is compared with the bar's prompts under the same model. One that is the bar's own
    prompts under another model is compared with them under theirs.

    Args:
        sources: Checkpoints' ids, None for the request's own prompts; each with the model that
            its prompts name, None where they name none or several.
        models: In place of the prompts' own; empty: their own.
        bar: Id of the checkpoint that no column may be worse than.
        bar_model: The model that the bar's prompts name.
        like_bar: Other sources whose prompts are the bar's. Two samples of the same prompts
            differ by chance alone, so they are not compared.

    Raises:
        BadInputError: There are too many, or none is anything but the bar itself.
    """
    own = {bar: bar_model} | dict(sources)

    def place(source: str | None, model: str | None) -> _Place:
        # To ask for the model that the prompts name is to ask for the prompts as they are.
        return source, None if model == own[source] else model

    overrides: Sequence[str | None] = models or [None]
    wanted = list(dict.fromkeys(place(*pair) for pair in product(sources, overrides)))
    needed = dict[_Place, _Place | None]()
    for source, override in wanted:
        same = source == bar or source in like_bar
        known = bar is None or (same and override is None)
        needed[source, override] = None if known else place(bar, None if same else override)
    places = list(dict.fromkeys([*wanted, *(other for other in needed.values() if other)]))
    if len(places) > MOST_COLUMNS:
        raise BadInputError(
            f"models: {len(places)} columns are over the limit of {MOST_COLUMNS}; "
            f"{len(sources)} sets of prompts under {len(overrides)} models were asked for",
            field="models",
            hint="Name fewer models or checkpoints.",
        )
    if bar is not None and all(source == bar and not needed[source, m] for source, m in wanted):
        raise BadInputError(
            f"not_worse_than: checkpoint {bar} is all that would be scored, so there is nothing "
            "to compare it with",
            field="not_worse_than",
            hint="Give the spec prompts of its own, or name another --checkpoint or --model.",
        )
    ids = {place: f"c{number}" for number, place in enumerate(places)}
    return [_column(place, ids, needed.get(place), place in wanted) for place in places]


def _column(
    place: _Place, ids: Mapping[_Place, str], against: _Place | None, judged: bool
) -> Column:
    other = None if against is None else ids[against]
    return Column(ids[place], place[0], place[1], against=other, judged=judged)


def prompts_under(prompts: Prompts, model: str | None) -> Prompts:
    """The prompts with another model in place of their own; None: as they are."""
    if model is None:
        return prompts
    return {name: prompt.model_copy(update={"model": model}) for name, prompt in prompts.items()}


def same_prompts(one: Prompts, other: Prompts) -> bool:
    """Whether an agent gets the same from both, whatever is trained or noted of them."""
    unseen = {"requires_grad", "metadata"}
    dumped = [
        {name: prompt.model_dump(exclude=unseen) for name, prompt in prompts.items()}
        for prompts in (one, other)
    ]
    return dumped[0] == dumped[1]


def evaluated_cases(split: DatasetSplit, wanted: EvaluatedSplit) -> list[tuple[Case, Split]]:
    """The cases to score in the dataset's order, each with the split that it belongs to.

    Raises:
        BadInputError: The split has no cases.
    """
    parts: tuple[tuple[Split, tuple[Case, ...]], ...] = (
        ("train", split.train),
        ("validation", split.validation),
        ("test", split.test),
    )
    found = dict[str, tuple[Case, Split]]()
    for name, cases in parts:
        if wanted in (name, "all"):
            # Of a dataset that is too small to split, each case is in two.
            found |= {case.id: (case, name) for case in cases if case.id not in found}
    if not found:
        why = f" ({split.note})" if split.note else ""
        raise BadInputError(
            f"split: the dataset has no {wanted} cases{why}",
            field="split",
            hint="Take all cases (--split all), or change dataset.split.",
        )
    return sorted(found.values(), key=lambda pair: pair[0].index)


@dataclass(frozen=True)
class Comparison:
    """How much better one column is than another, on the cases that both have scores of."""

    before: Column
    after: Column
    change: PairedInterval

    def as_dict(self) -> dict[str, Any]:
        """JSON form: which columns, and the paired interval's fields."""
        names = ("model", "checkpoint")
        return {
            "before": {name: getattr(self.before, name) for name in names},
            "after": {name: getattr(self.after, name) for name in names},
            **self.change.as_dict(),
        }


Bar = Literal["min_score", "not_worse_than"]


@dataclass(frozen=True)
class Shortfall:
    """Where a column does not meet the bar, in a sentence."""

    column: Column
    bar: Bar
    text: str


def shortfalls(
    columns: Iterable[tuple[Column, Interval]],
    comparisons: Iterable[Comparison],
    min_score: float | None,
) -> list[Shortfall]:
    """Find where the columns do not meet the bar; empty when they do, or none was set."""
    found = list[Shortfall]()
    for column, score in columns:
        if min_score is None or not column.judged:
            continue
        if score.value is None:
            text = f"{column.name}: no case has a score; min_score is {min_score:g}"
        elif score.value < min_score - _SAME:
            text = f"{column.name}: {score.value:.4f} is below min_score of {min_score:g}"
        else:
            continue
        found.append(Shortfall(column, "min_score", text))
    for one in comparisons:
        if one.after.against == one.before.id and (text := _worse(one)):
            found.append(Shortfall(one.after, "not_worse_than", text))
    return found


def _worse(one: Comparison) -> str:
    change = one.change
    if change.high is None or change.low is None or change.mean is None:
        return f"{one.after.name}: no case has scores of it and of {one.before.name}"
    if change.high >= 0:
        return ""
    return (
        f"{one.after.name}: worse than {one.before.name} by {change.mean:+.4f} "
        f"(95%: {change.low:+.4f} to {change.high:+.4f}, n={change.n})"
    )
