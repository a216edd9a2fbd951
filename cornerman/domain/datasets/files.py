"""Reads records from JSON, JSONL and CSV files; every refusal names the file and the place.

Turns a file's records into cases, by the columns that the request names.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cornerman.domain.datasets import ColumnOptions
from cornerman.domain.errors import BadInputError, NotFoundError
from cornerman.domain.json_values import json_fault, shown
from cornerman.domain.training.cases import Case

ENDINGS = (".json", ".jsonl", ".ndjson", ".csv")
FIELD = "dataset.path"
# A CSV cell may be a whole document; Python's own limit is 128 KiB.
CSV_CELL_LIMIT = 20_000_000


@dataclass(frozen=True)
class Record:
    """One record of a file and where it stands, such as `cases.csv, line 7`."""

    place: str
    values: dict[str, Any]


def resolve_path(path: str, base: Path | None, folders: Sequence[Path] | None = None) -> Path:
    """Return the file that a dataset's path means.

    Args:
        path: As the request gave it; `~` is the home folder.
        base: Folder of the spec, which relative paths start from; None: the current folder.
        folders: Folders the file must lie in, links followed; None: anywhere.

    Raises:
        BadInputError: It lies outside `folders`.
        NotFoundError: There is no such file.
    """
    if "\x00" in path:
        raise BadInputError(f"{FIELD}: a path must not hold a NUL character", field=FIELD)
    given = Path(path) if folders is not None else Path(path).expanduser()
    full = ((base or Path.cwd()) / given).resolve()
    if folders is not None and not any(full.is_relative_to(folder.resolve()) for folder in folders):
        # The same answer for files that exist and that do not: nothing is learned from it.
        raise BadInputError(
            f"{FIELD}: {shown(path)} is outside the folders that datasets may come from",
            field=FIELD,
        )
    if not full.is_file():
        raise NotFoundError(
            f"{FIELD}: there is no file {full}",
            field=FIELD,
            hint="A relative path starts from the folder of the spec.",
        )
    return full


def read_records(path: Path, records_key: str | None = None) -> list[Record]:
    """Return a file's records in their order, read by the file's ending.

    Args:
        path: A `.json`, `.jsonl` (or `.ndjson`) or `.csv` file in UTF-8, with or without BOM.
        records_key: For a JSON object: the key that holds the array. None: the only such key.

    Raises:
        BadInputError: Another ending, or content that is not what the ending says.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise BadInputError(
            f"{FIELD}: {path.name} ends in {ending or 'nothing'!r}; expected one of "
            f"{', '.join(ENDINGS)}",
            field=FIELD,
        )
    if records_key is not None and ending != ".json":
        raise BadInputError(
            f"dataset.records: is for JSON files; {path.name} has its records as lines",
            field="dataset.records",
        )
    text = _read_text(path)
    if ending == ".json":
        found = list(_json_records(path.name, text, records_key))
    elif ending == ".csv":
        found = list(_csv_records(path.name, text))
    else:
        found = list(_jsonl_records(path.name, text))
    if not found:
        raise BadInputError(f"{FIELD}: {path.name} holds no records", field=FIELD)
    return found


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInputError(
            f"{FIELD}: {path.name} is not UTF-8 text (byte {error.start} cannot be read)",
            field=FIELD,
            hint="Save it as UTF-8.",
        ) from error
    except OSError as error:
        raise BadInputError(
            f"{FIELD}: {path} cannot be read: {error.strerror}", field=FIELD
        ) from error


def _loads(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        # ValueError covers bad JSON and integers of thousands of digits.
        detail = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise BadInputError(f"{FIELD}: {place} is not valid JSON: {detail}", field=FIELD) from error


def _as_record(value: Any, place: str) -> Record:
    if not isinstance(value, dict):
        raise BadInputError(
            f"{FIELD}: {place} must be an object with columns, got {shown(value)}", field=FIELD
        )
    return Record(place, value)


def _json_records(name: str, text: str, key: str | None) -> Iterator[Record]:
    document = _loads(text, name) if text.strip() else []
    rows = _array_in(document, name, key)
    for number, value in enumerate(rows):
        yield _as_record(value, f"{name}, record {number}")


def _array_in(document: Any, name: str, key: str | None) -> list[Any]:
    if isinstance(document, list) and key is None:
        return document
    if not isinstance(document, dict):
        wanted = f"an object with the key {key!r}" if key else "an array or an object with one"
        raise BadInputError(f"{FIELD}: {name} must hold {wanted}", field=FIELD)
    arrays = [field for field, value in document.items() if isinstance(value, list)]
    if key is None and len(arrays) == 1:
        return document[arrays[0]]
    if key in arrays:
        return document[key]
    said = f"no array named {key!r}" if key else f"{len(arrays)} arrays, so which one is meant?"
    raise BadInputError(
        f"dataset.records: {name} has {said} It has: {', '.join(arrays) or 'none'}",
        field="dataset.records",
        hint="Name the key that holds the array of records in dataset.records.",
    )


def _jsonl_records(name: str, text: str) -> Iterator[Record]:
    # Not splitlines(): JSON text may hold U+2028 and others that it would break at.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            place = f"{name}, line {number}"
            yield _as_record(_loads(line, place), place)


def _csv_records(name: str, text: str) -> Iterator[Record]:
    csv.field_size_limit(CSV_CELL_LIMIT)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next((row for row in reader if any(row)), None)
        if header is None:
            return
        _check_header(name, header)
        start = reader.line_num + 1
        for row in reader:
            place = f"{name}, line {start}"
            start = reader.line_num + 1
            if not any(row):
                continue
            if len(row) != len(header):
                raise BadInputError(
                    f"{FIELD}: {place} has {len(row)} cells, but the header has {len(header)} "
                    f"columns: {', '.join(header)}",
                    field=FIELD,
                    hint="Put cells that hold commas or line breaks in quotes.",
                )
            yield Record(place, dict(zip(header, row, strict=True)))
    except csv.Error as error:
        raise BadInputError(
            f"{FIELD}: {name}, line {reader.line_num} is not valid CSV: {error}", field=FIELD
        ) from error


def _check_header(name: str, header: list[str]) -> None:
    header[:] = [column.strip() for column in header]
    twice = {column for column in header if header.count(column) > 1}
    if twice:
        raise BadInputError(
            f"{FIELD}: {name} has more than one column named {sorted(twice)[0]!r}", field=FIELD
        )


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
