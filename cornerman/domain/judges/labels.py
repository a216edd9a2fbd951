"""Labelled cases: what was judged, and what a person said of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from cornerman.domain.battles import Turn
from cornerman.domain.datasets import ColumnOptions, duplicate_id
from cornerman.domain.datasets.files import Record, read_records, resolve_path
from cornerman.domain.datasets.records import case_of
from cornerman.domain.errors import BadInputError, NotFoundError
from cornerman.domain.json_values import shown
from cornerman.domain.judges import LabelColumns, parse_scale
from cornerman.domain.personas import Scenario
from cornerman.domain.referee.transcripts import turns_of
from cornerman.domain.training.cases import Case

# With more kinds of labels, five levels stand for them; a table of more tells nobody anything.
MOST_LEVELS = 10
_FIFTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
_WORDS = {
    **dict.fromkeys(("true", "yes", "pass", "passed", "good", "correct"), 1.0),
    **dict.fromkeys(("false", "no", "fail", "failed", "bad", "incorrect"), 0.0),
}
_FORM = (
    "A case needs {judged} and label (what a person said: true or false, pass or fail, or a "
    "number of the scale); inputs, expected_output, metadata and id may be there."
)
_OUTPUT = "output (what is judged)"
_TALK = "messages (the conversation, in chat form) or turns"


@dataclass(frozen=True)
class LabelledCase:
    """One thing that was judged.

    Args:
        label: What a person said, in 0..1.
        turns: For a referee: the conversation. The user's side is the persona.
        scenario: For a referee: the situation, the id of one of the workflow's, or None.
    """

    case: Case
    label: float
    output: Any = None
    turns: tuple[Turn, ...] = ()
    scenario: Scenario | str | None = None


@dataclass(frozen=True)
class Labels:
    """A file's labelled cases.

    Args:
        levels: What labels there may be, in 0..1, ascending; scores are read as the nearest one.
        scale: What the labels range over as they were given.
        unread: Columns of the file that mean nothing here.
    """

    cases: tuple[LabelledCase, ...]
    levels: tuple[float, ...]
    scale: tuple[float, float] = (0.0, 1.0)
    unread: tuple[str, ...] = field(default=())

    def as_given(self, value: float) -> float:
        """A value in 0..1 on the labels' own scale."""
        low, high = self.scale
        return low + value * (high - low)


def read_labels(
    path: str | Path,
    *,
    referee: bool = False,
    scale: str | None = None,
    columns: LabelColumns | None = None,
    limit: int | None = None,
    where: str = "FILE",
) -> Labels:
    """Return the labelled cases that a file holds, in its order.

    Args:
        path: JSON, JSONL or CSV, read as a dataset is.
        referee: A referee judges conversations; any other judge an output.
        scale: What the labels range over, such as `1-5`; None: 0-1.
        limit: The first so many.
        where: What names the file in messages, such as `judge.calibration`.

    Raises:
        BadInputError: A record cannot be used, or all labels are alike; names the line and field.
        NotFoundError: There is no such file.
    """
    low, high = (0.0, 1.0) if scale is None else parse_scale(scale)
    named = columns or LabelColumns.model_validate({})
    try:
        records = read_records(resolve_path(str(path), None))[:limit]
        read = _Reader(named, referee, (low, high))
        cases = tuple(read.case(record, index) for index, record in enumerate(records))
    except BadInputError as error:
        message = error.message.replace("dataset.path:", f"{where}:")
        raise type(error)(message, field=where, hint=_hint(error, where)) from None
    _refuse_duplicates(cases, records, where)
    levels = _levels([each.label for each in cases], low, high)
    if len({each.label for each in cases}) < 2:
        raise BadInputError(
            f"{where}: all {len(cases)} labels are {low + cases[0].label * (high - low):g}; "
            "how far a judge agrees shows only where people told some cases from others.",
            field=where,
            hint="Add cases of the other kind.",
        )
    return Labels(cases, levels, (low, high), read.unread(records))


def _hint(error: BadInputError, where: str) -> str:
    if error.field == "label":
        column = "--column label=NAME" if where == "FILE" else "judge.columns.label"
        return f"Is it named otherwise? {column}. Another range? scale, such as 1-5."
    return "" if isinstance(error, NotFoundError) else error.hint


def _refuse_duplicates(
    cases: Sequence[LabelledCase], records: Sequence[Record], where: str
) -> None:
    twice = duplicate_id(each.case.id for each in cases)
    if twice is not None:
        first, second, name = twice
        raise BadInputError(
            f"{where}: {records[second].place} has the id {shown(name)} of "
            f"{records[first].place}; ids must be unique",
            field=where,
        )


def _levels(labels: Sequence[float], low: float, high: float) -> tuple[float, ...]:
    """The labels that there may be: each step of a short whole scale, else those that came."""
    distinct = sorted(set(labels))
    steps = high - low
    on_step = all(abs(label * steps - round(label * steps)) < 1e-9 for label in distinct)
    if steps == int(steps) and steps < MOST_LEVELS and on_step:
        return tuple(step / steps for step in range(int(steps) + 1))
    return tuple(distinct) if len(distinct) <= MOST_LEVELS else _FIFTHS


class _Reader:
    """Makes labelled cases of records."""

    def __init__(self, columns: LabelColumns, referee: bool, scale: tuple[float, float]) -> None:
        self._columns = columns
        self._referee = referee
        self._scale = scale
        self._form = _FORM.format(judged=_TALK if referee else _OUTPUT)

    def case(self, record: Record, index: int) -> LabelledCase:
        label = self._label(record)
        plain = self._case(record, index)
        if not self._referee:
            # An agent may have said nothing at all, and that is judged too.
            output = self._required(record, self._columns.output, "output", empty=True)
            return LabelledCase(plain, label, output=output)
        return LabelledCase(plain, label, turns=self._turns(record), scenario=self._scene(record))

    def unread(self, records: Sequence[Record]) -> tuple[str, ...]:
        """Columns that mean nothing here, in their order; a misspelt one is among them."""
        columns = self._columns
        known = {columns.label, *self._parts()}
        known |= (
            {columns.messages, "turns", columns.scenario} if self._referee else {columns.output}
        )
        for given in (columns.inputs, columns.metadata, columns.expected_output, columns.id):
            if isinstance(given, Mapping):
                known |= set(given.values())
            elif given is not None:
                known |= {given} if isinstance(given, str) else set(given)
        return tuple(dict.fromkeys(n for r in records for n in r.values if n not in known))

    @staticmethod
    def _parts() -> tuple[str, ...]:
        return ("inputs", "expected_output", "metadata", "id")

    def _required(self, record: Record, column: str, part: str, *, empty: bool = False) -> Any:
        if record.values.get(column) in ((None,) if empty else (None, "")):
            there = ", ".join(list(record.values)[:20]) or "nothing"
            raise BadInputError(
                f"dataset.path: {record.place} has no {column}; it has: {there}. {self._form}",
                field=part,
            )
        return record.values[column]

    def _label(self, record: Record) -> float:
        given = self._required(record, self._columns.label, "label")
        low, high = self._scale
        word = _WORDS.get(str(given).strip().lower())
        if word is not None:
            return word
        try:
            value = float(str(given))
        except ValueError:
            value = float("nan")
        if not low <= value <= high:  # NaN is not either
            raise BadInputError(
                f"dataset.path: {record.place}: {self._columns.label}: {shown(given)} is neither "
                f"a number of {low:g} to {high:g} nor true, false, pass, fail, yes or no",
                field="label",
            )
        return (value - low) / (high - low)

    def _case(self, record: Record, index: int) -> Case:
        """The case as a dataset's record would give it, inputs and all else optional."""
        held, columns = record.values, self._columns
        inputs = columns.inputs or ("inputs" if "inputs" in held else None)
        values = dict(held) if inputs else {**held, "inputs": "{}"}
        named = ColumnOptions(
            inputs=inputs or "inputs",
            expected_output=columns.expected_output or _there(held, "expected_output"),
            messages=None,
            metadata=columns.metadata or _there(held, "metadata", empty_too=False),
            id=columns.id or _there(held, "id"),
        )
        return case_of(Record(record.place, values), index, named)

    def _turns(self, record: Record) -> tuple[Turn, ...]:
        column = self._columns.messages
        stored = record.values.get("turns")
        given = _as_list(stored if stored else self._required(record, column, "messages"))
        try:
            if given is None or not all(isinstance(one, dict) for one in given):
                raise ValueError("is no list of objects")
            turns = _stored_turns(given) if stored else turns_of(given)
            if not turns:
                raise ValueError("nobody says anything in it")
        except (ValidationError, ValueError, KeyError) as error:
            said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            raise BadInputError(
                f"dataset.path: {record.place}: {'turns' if stored else column}: {said}. "
                f"{self._form}",
                field="messages",
            ) from None
        return turns

    def _scene(self, record: Record) -> Scenario | str | None:
        given = record.values.get(self._columns.scenario)
        if given in (None, ""):
            return None
        if isinstance(given, str) and not given.lstrip().startswith("{"):
            return given
        try:
            scene: Any = json.loads(given) if isinstance(given, str) else given
            return Scenario.model_validate({"id": f"case-{record.place}", **scene})
        except (ValidationError, ValueError, TypeError) as error:
            said = error.errors()[0] if isinstance(error, ValidationError) else None
            path = ".".join(map(str, said["loc"])) if said else ""
            why = said["msg"] if said else str(error)
            raise BadInputError(
                f"dataset.path: {record.place}: {self._columns.scenario}"
                f"{f'.{path}' if path else ''}: {why}",
                field="scenario",
            ) from None


def _stored_turns(given: Sequence[Mapping[str, Any]]) -> tuple[Turn, ...]:
    return tuple(Turn.model_validate({"index": n, **one}) for n, one in enumerate(given))


def _there(values: Mapping[str, Any], name: str, *, empty_too: bool = True) -> str | None:
    return name if name in values and (empty_too or values[name]) else None


def _as_list(value: Any) -> list[Any] | None:
    """A CSV cell that holds a JSON array, or a list as it is."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return cast("list[Any]", value) if isinstance(value, list) else None
