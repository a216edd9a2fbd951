"""Turns a file's records into cases, by the columns that the request names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cornerman.domain.datasets import ColumnOptions
from cornerman.domain.datasets.chat import ChatFormError, messages_of, split_talk, whole_talk
from cornerman.domain.datasets.content import Record, bad_file
from cornerman.domain.errors import BadInputError
from cornerman.domain.json_values import json_fault
from cornerman.domain.training.cases import Case

_CASE_KEYS = {"inputs", "expected_output", "metadata", "id"}


def case_of(record: Record, index: int, columns: ColumnOptions | None) -> Case:
    """Return the case that a record holds.

    Args:
        index: The record's position in its file, from 0; its id too, when it has none.
        columns: Which columns are which part; None: by their usual names.

    Raises:
        BadInputError: A column is missing, or holds what cannot be stored.
    """
    values = record.values
    if columns is None:
        columns = _default_columns(values)
    if columns.messages is None:
        inputs = _pick(record, columns.inputs, "inputs")
        expected = _expected(record, columns)
    else:
        inputs, expected = _conversation(record, columns, columns.messages)
    metadata = _pick(record, columns.metadata, "metadata") if columns.metadata else {}
    given = None if columns.id is None else _cell(record, columns.id, "id")
    case = Case(
        str(index) if given is None or given == "" else str(given),
        index,
        inputs,
        expected,
        metadata,
    )
    parts = {"inputs": inputs, "expected_output": expected, "metadata": metadata, "id": case.id}
    fault = json_fault(parts)
    if fault:
        raise bad_file(f"{record.place}: at {fault[0]}: {fault[1]}")
    return case


def _default_columns(values: Mapping[str, Any]) -> ColumnOptions:
    """Return the columns of a file without `dataset.columns`.

    A record with a case's keys alone is a case as in the request, where all but inputs may be
    missing. In any other record a missing expected output is more likely a column to be named.
    """
    is_case = set(values) <= _CASE_KEYS
    return ColumnOptions(
        inputs="inputs",
        messages=None,
        expected_output="expected_output" if "expected_output" in values or not is_case else None,
        metadata="metadata" if is_case and values.get("metadata") else None,
        id="id" if is_case and "id" in values else None,
    )


def _expected(record: Record, columns: ColumnOptions) -> Any:
    if columns.expected_output is None:
        return None
    return _cell(record, columns.expected_output, "expected_output")


def _conversation(
    record: Record, columns: ColumnOptions, column: str
) -> tuple[dict[str, Any], Any]:
    """Inputs and expected output of a record in chat form.

    The last assistant message is the expected output, unless a column for it is named; then the
    whole conversation is the input. System messages become the input `system`: the trained prompt
    takes their place, and may say `{system}` where they hold what differs from case to case.
    """
    own = columns.expected_output is not None
    try:
        messages = messages_of(_cell(record, column, "messages"))
        talk = whole_talk(messages) if own else split_talk(messages)
    except ChatFormError as fault:
        raise BadInputError(
            f"dataset.columns.messages: {record.place}, column {column!r}: {fault}",
            field="dataset.columns.messages",
        ) from fault
    inputs: dict[str, Any] = {"messages": talk.messages}
    if talk.system:
        inputs["system"] = talk.system
    if columns.inputs:
        inputs = _pick(record, columns.inputs, "inputs") | inputs
    return inputs, _expected(record, columns) if own else talk.answer


def _pick(record: Record, columns: str | list[str] | dict[str, str], part: str) -> dict[str, Any]:
    if isinstance(columns, dict):
        return {name: _cell(record, column, part) for name, column in columns.items()}
    if isinstance(columns, list):
        return {column: _cell(record, column, part) for column in columns}
    value = _as_object(_cell(record, columns, part))
    return value if isinstance(value, dict) else {columns: value}


def _as_object(value: Any) -> Any:
    """Return a CSV cell that holds a JSON object as that object; others as they are."""
    if not (isinstance(value, str) and value.lstrip().startswith("{")):
        return value
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        return value  # text that merely starts with a brace
    return parsed if isinstance(parsed, dict) else value


def _cell(record: Record, column: str, part: str) -> Any:
    if column in record.values:
        return record.values[column]
    there = ", ".join(list(record.values)[:20]) or "none"
    chat = ", a conversation's in dataset.columns.messages" if "messages" in there else ""
    raise BadInputError(
        f"dataset.columns.{part}: {record.place} has no column {column!r}; it has: {there}",
        field=f"dataset.columns.{part}",
        hint=f"Name the column in dataset.columns.{part}{chat}"
        + (", or set it to null if there is none." if part == "expected_output" else "."),
    )
