"""Turns a file's records into cases, by the columns that the request names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cornerman.domain.cases import Case
from cornerman.domain.dataset_files import Record
from cornerman.domain.dataset_options import ColumnOptions
from cornerman.domain.errors import BadInputError
from cornerman.domain.json_values import json_fault

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
    inputs = _pick(record, columns.inputs, "inputs")
    expected = None
    if columns.expected_output is not None:
        expected = _cell(record, columns.expected_output, "expected_output")
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
        raise BadInputError(
            f"dataset.path: {record.place}: at {fault[0]}: {fault[1]}", field="dataset.path"
        )
    return case


def _default_columns(values: Mapping[str, Any]) -> ColumnOptions:
    """Return the columns of a file without `dataset.columns`.

    A record with a case's keys alone is a case as in the request, where all but inputs may be
    missing. In any other record a missing expected output is more likely a column to be named.
    """
    is_case = set(values) <= _CASE_KEYS
    return ColumnOptions(
        inputs="inputs",
        expected_output="expected_output" if "expected_output" in values or not is_case else None,
        metadata="metadata" if is_case and values.get("metadata") else None,
        id="id" if is_case and "id" in values else None,
    )


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
    raise BadInputError(
        f"dataset.columns.{part}: {record.place} has no column {column!r}; it has: {there}",
        field=f"dataset.columns.{part}",
        hint=f"Name the column in dataset.columns.{part}"
        + (", or set it to null if there is none." if part == "expected_output" else "."),
    )
