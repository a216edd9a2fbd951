"""Reads records from JSON, JSONL, CSV, TSV and Parquet files, compressed or not.

Every refusal names the file and the place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from cornerman.domain.datasets.content import (
    FIELD,
    MOST_RECORDS,
    MOST_UNPACKED_BYTES,
    Record,
    bad_file,
    ending_of,
    loads,
    read_bytes,
    read_text,
)
from cornerman.domain.datasets.tables import csv_records, parquet_records, tsv_records
from cornerman.domain.errors import BadInputError, NotFoundError
from cornerman.domain.json_values import shown

ENDINGS = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")


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


def read_records(
    path: Path, records_key: str | None = None, *, most_bytes: int = MOST_UNPACKED_BYTES
) -> list[Record]:
    """Return a file's records in their order, read by the file's ending.

    Args:
        path: A `.json`, `.jsonl` (or `.ndjson`), `.csv`, `.tsv` or `.parquet` file; each with `.gz`
            too. Text is UTF-8, or what its byte order mark says.
        records_key: For a JSON object: the key that holds the array. None: the only such key.
        most_bytes: What a compressed file may unpack to.

    Raises:
        BadInputError: Another ending, content that is not what the ending says, or more than
            1,000,000 records.
    """
    ending, _ = ending_of(path)
    if ending not in ENDINGS:
        raise bad_file(
            f"{path.name} ends in {ending or 'nothing'!r}; expected one of {', '.join(ENDINGS)}"
            ", or one of them and .gz"
        )
    if records_key is not None and ending != ".json":
        held = "rows" if ending == ".parquet" else "lines"
        raise BadInputError(
            f"dataset.records: is for JSON files; {path.name} has its records as {held}",
            field="dataset.records",
        )
    found = list(islice(_records(path, ending, records_key, most_bytes), MOST_RECORDS + 1))
    if not found:
        raise bad_file(f"{path.name} holds no records")
    if len(found) > MOST_RECORDS:
        raise bad_file(f"{path.name} has more than {MOST_RECORDS:,} records, which is the limit")
    return found


def _records(path: Path, ending: str, records_key: str | None, most_bytes: int) -> Iterable[Record]:
    if ending == ".parquet":
        return parquet_records(path.name, read_bytes(path, most_bytes), most_bytes)
    text = read_text(path, most_bytes)
    if ending == ".json":
        return _json_records(path.name, text, records_key)
    readers = {".csv": csv_records, ".tsv": tsv_records}
    return readers.get(ending, _jsonl_records)(path.name, text)


def _as_record(value: Any, place: str) -> Record:
    if not isinstance(value, dict):
        raise bad_file(f"{place} must be an object with columns, got {shown(value)}")
    return Record(place, value)


def _json_records(name: str, text: str, key: str | None) -> Iterator[Record]:
    document = loads(text, name) if text.strip() else []
    rows = _array_in(document, name, key)
    for number, value in enumerate(rows):
        yield _as_record(value, f"{name}, record {number}")


def _array_in(document: Any, name: str, key: str | None) -> list[Any]:
    if isinstance(document, list) and key is None:
        return document
    if not isinstance(document, dict):
        wanted = f"an object with the key {key!r}" if key else "an array or an object with one"
        raise bad_file(f"{name} must hold {wanted}")
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
            yield _as_record(loads(line, place), place)
