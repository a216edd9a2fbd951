"""Where a run's cases come from and how they are split: `dataset` of a training request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from cornerman.domain.json_values import (
    FiniteNumber,
    JsonAny,
    JsonObject,
    JsonText,
    WholeNumber,
    problem,
    shown,
)
from cornerman.domain.patterns import PatternError, compile_pattern

# Three fractions written with three digits each, such as 0.333, must still pass as a whole.
SPLIT_TOLERANCE = 0.0011


class Options(BaseModel):
    """Base of all request parts: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _id_as_text(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


class CaseOptions(Options):
    """One case as a request gives it."""

    inputs: JsonObject = Field(
        default_factory=dict,
        description="What the agent gets, by name.",
        examples=[{"question": "How many fruits are two apples and a plum?"}],
    )
    expected_output: JsonAny = Field(
        None, description="What evaluators compare the output with.", examples=["3"]
    )
    metadata: JsonObject = Field(
        default_factory=dict,
        description="For evaluators and reports; the agent does not see it.",
        examples=[{"difficulty": "easy"}],
    )
    id: Annotated[JsonText, BeforeValidator(_id_as_text)] | None = Field(
        None,
        min_length=1,
        max_length=256,
        description="Unique in the dataset; empty: the case's position, from 0.",
        examples=["fruit-1"],
    )


class SplitOptions(Options):
    """Shares of the dataset: prompts learn on train, are chosen on validation, judged on test."""

    train: FiniteNumber = Field(
        0.5, gt=0, le=1, description="Share that rewrites learn from.", examples=[0.5]
    )
    validation: FiniteNumber = Field(
        0.3, gt=0, le=1, description="Share that the best candidate is chosen on.", examples=[0.3]
    )
    test: FiniteNumber = Field(
        0.2, ge=0, le=1, description="Share that is opened once, at the end.", examples=[0.2]
    )
    seed: WholeNumber = Field(0, description="Another seed draws another split.", examples=[0])

    @model_validator(mode="after")
    def _sum_is_one(self) -> SplitOptions:
        total = self.train + self.validation + self.test
        if abs(total - 1) > SPLIT_TOLERANCE:
            raise problem(
                f"train {self.train:g} + validation {self.validation:g} + test {self.test:g} "
                f"is {total:g}; the three must add up to 1"
            )
        return self


def _column_names(value: Any) -> Any:
    """Refuse shapes that are neither a name, a list of names nor a mapping to names."""
    if isinstance(value, Mapping):
        names = list(value.values())
    elif isinstance(value, (list, tuple)):
        names = list(value)
    else:
        names = [value]
    if all(isinstance(name, str) and name for name in names) and (names or value == {}):
        return value
    raise problem(
        f"{shown(value)} is not a column's name, a list of them, or a mapping such as "
        "{question: column}"
    )


Columns = Annotated[str | list[str] | dict[str, str], BeforeValidator(_column_names)]


class ColumnOptions(Options):
    """Which columns of the file are which part of a case."""

    inputs: Columns = Field(
        "inputs",
        description="One column, a list of columns, or input name -> column. A column that holds "
        "an object gives its keys; any other value is named after its column.",
        examples=[{"question": "question"}, "question", ["title", "body"]],
    )
    expected_output: str | None = Field(
        "expected_output",
        description="Column of the expected output; null: the dataset has none.",
        examples=["answer"],
    )
    messages: str | None = Field(
        None,
        min_length=1,
        description="Column that holds a conversation, as `{role, content}` messages: the "
        "assistant's last message is the expected output, what came before it the input "
        "`messages`. With it, `inputs` names further inputs, and `expected_output` another "
        "column than the conversation.",
        examples=["messages"],
    )
    metadata: Columns | None = Field(
        None, description="Columns kept as metadata, in any form of `inputs`.", examples=[["topic"]]
    )
    id: str | None = Field(
        None, description="Column of unique ids; empty: the position.", examples=["id"]
    )

    @model_validator(mode="before")
    @classmethod
    def _conversation_alone(cls, given: Any) -> Any:
        """With `messages`, only what is named besides is read; said so that a dump keeps it."""
        if (
            not isinstance(given, Mapping)
            or cast("Mapping[str, Any]", given).get("messages") is None
        ):
            return given
        return {"inputs": {}, "expected_output": None, **given}

    @model_validator(mode="after")
    def _some_inputs(self) -> ColumnOptions:
        if not self.inputs and self.messages is None:
            raise problem("is empty; name at least one column", "dataset.columns.inputs")
        return self


class DatasetOptions(Options):
    """The cases, given here or in a file."""

    id: JsonText | None = Field(
        None,
        max_length=256,
        description="Your own name for the dataset; results show it as `dataset_id`.",
        examples=["support-2026-01"],
    )
    cases: list[CaseOptions] | None = Field(
        None,
        description="The cases themselves; or give `path`.",
        examples=[[{"inputs": {"question": "1 + 1?"}, "expected_output": "2"}]],
    )
    path: str | None = Field(
        None,
        min_length=1,
        description="A JSON, JSONL, CSV, TSV or Parquet file, also with `.gz`, relative to the "
        "folder of the spec.",
        examples=["cases.jsonl"],
    )
    columns: ColumnOptions | None = Field(
        None,
        description="Which columns of the file to use; empty: `inputs` and `expected_output`.",
        examples=[{"inputs": {"question": "question"}, "expected_output": "answer"}],
    )
    records: str | None = Field(
        None,
        description="Key of a JSON object that holds the array of records; needed only when "
        "several keys hold arrays.",
        examples=["examples"],
    )
    expected_pattern: str | None = Field(
        None,
        max_length=500,
        description="Regular expression with one group; the group's match in the expected output "
        "replaces it.",
        examples=["#### (.+)"],
    )
    split: SplitOptions = Field(
        default_factory=lambda: SplitOptions.model_validate({}),
        description="Shares of train, validation and test; under 10 cases all are train and "
        "validation.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> DatasetOptions:
        if self.cases is not None and self.path is not None:
            raise problem("give either cases or path, not both")
        if self.cases is None and self.path is None:
            raise problem("give cases or path; there is nothing to train on")
        if self.cases is not None:
            self._check_cases(self.cases)
        return self

    def _check_cases(self, cases: list[CaseOptions]) -> None:
        if not cases:
            raise problem("is empty; give at least one case", "dataset.cases")
        for name in ("columns", "records"):
            if getattr(self, name) is not None:
                raise problem("belongs to path; cases need none", f"dataset.{name}")
        duplicate = duplicate_id(case.id for case in cases)
        if duplicate is not None:
            first, second, name = duplicate
            raise problem(
                f"{shown(name)} is the id of case {first} too; ids must be unique (a case "
                "without an id has its position as its id)",
                f"dataset.cases.{second}.id",
            )

    @model_validator(mode="after")
    def _pattern_has_one_group(self) -> DatasetOptions:
        if self.expected_pattern is None:
            return self
        try:
            groups = compile_pattern(self.expected_pattern).groups
        except PatternError as error:
            raise problem(
                f"{self.expected_pattern!r} is not a regular expression: {error}",
                "dataset.expected_pattern",
            ) from error
        if groups != 1:
            raise problem(
                f"{self.expected_pattern!r} has {groups} groups; exactly one is needed, around "
                "the part to keep",
                "dataset.expected_pattern",
            )
        return self


def duplicate_id(ids: Any) -> tuple[int, int, str] | None:
    """Return the positions and name of the first id given twice; None ids are positions."""
    seen: dict[str, int] = {}
    for position, given in enumerate(ids):
        name = str(position) if given is None else str(given)
        if name in seen:
            return seen[name], position, name
        seen[name] = position
    return None
