"""Tables as records: comma, semicolon or tab between the cells, quoted or not; Parquet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

from cornerman.domain.datasets.content import (
    MOST_RECORDS,
    MOST_UNPACKED_BYTES,
    Record,
    bad_file,
)

# A cell may be a whole document; Python's own limit is 128 KiB.
CELL_LIMIT = 20_000_000
# Spreadsheets in half of the world write semicolons; the comma wins where both would do.
_DELIMITERS = ",;\t|"
_LOOKED_AT = 20
# Excel says so in a first line of its own.
_SAID = re.compile(r"sep=(.)\r?\n")
_ROWS_AT_ONCE = 256


def csv_records(name: str, text: str) -> Iterator[Record]:
    """Records of a CSV text, whatever separates its cells.

    Raises:
        BadInputError: A row has more or fewer cells than the header, or quotes do not close.
    """
    said = _SAID.match(text)
    if said is not None:
        # The line is counted, so that places stay those of the file.
        return _records(name, "\n" + text[said.end() :], said[1])
    return _records(name, text, _delimiter(text))


def tsv_records(name: str, text: str) -> Iterator[Record]:
    """Records of a text with tabs, whether its writer quotes cells or not.

    Raises:
        BadInputError: As `csv_records`.
    """
    quoted = _rows(text, "\t")
    if quoted is None or _uneven(quoted):
        plain = _rows(text, "\t", quoting=csv.QUOTE_NONE)
        if plain is not None and not _uneven(plain):
            return _records(name, text, "\t", quoting=csv.QUOTE_NONE)
    return _records(name, text, "\t")


def _delimiter(text: str) -> str:
    """The first delimiter that gives the first rows one number of cells, over 1."""
    head = _rows(text, ",", most=1)
    fallback = "," if head is None or len(head[0]) > 1 else None
    for delimiter in _DELIMITERS:
        rows = _rows(text, delimiter, most=_LOOKED_AT)
        if rows is not None and len(rows[0]) > 1:
            if not _uneven(rows):
                return delimiter
            fallback = fallback or delimiter
    return fallback or ","


def _rows(
    text: str, delimiter: str, *, quoting: Any = csv.QUOTE_MINIMAL, most: int | None = None
) -> list[list[str]] | None:
    """The first rows that are not empty; None when they cannot be read, or when there is none."""
    csv.field_size_limit(CELL_LIMIT)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True
    )
    found = list[list[str]]()
    try:
        for row in reader:
            if any(row):
                found.append(row)
            if len(found) == most:
                break
    except csv.Error:
        return None
    return found or None


def _uneven(rows: list[list[str]]) -> bool:
    return any(len(row) != len(rows[0]) for row in rows)


def _records(
    name: str, text: str, delimiter: str, quoting: Any = csv.QUOTE_MINIMAL
) -> Iterator[Record]:
    csv.field_size_limit(CELL_LIMIT)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True
    )
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
                raise _wrong_row(place, row, header, delimiter)
            yield Record(place, dict(zip(header, row, strict=True)))
    except csv.Error as error:
        raise bad_file(f"{name}, line {reader.line_num} is not valid CSV: {error}") from error


def _wrong_row(place: str, row: list[str], header: list[str], delimiter: str) -> Exception:
    between = {",": "commas", ";": "semicolons", "\t": "tabs"}.get(delimiter, repr(delimiter))
    return bad_file(
        f"{place} has {len(row)} cells, but the header has {len(header)} "
        f"columns: {', '.join(header)}",
        f"Put cells that hold {between} or line breaks in quotes.",
    )


def _check_header(name: str, header: list[str]) -> None:
    header[:] = [column.strip() for column in header]
    twice = {column for column in header if header.count(column) > 1}
    if twice:
        raise bad_file(f"{name} has more than one column named {sorted(twice)[0]!r}")


def parquet_records(
    name: str, content: bytes, most_bytes: int = MOST_UNPACKED_BYTES
) -> Iterator[Record]:
    """Records of a Parquet file; dates and times become ISO texts, decimals texts, bytes UTF-8.

    Raises:
        BadInputError: pyarrow is not installed, the file is damaged, or it holds too much.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise bad_file(
            f"{name}: Parquet files need the package pyarrow, which is not installed",
            "Type: pip install 'cornerman[parquet]'",
        ) from error
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        columns = list(file.schema_arrow.names)
        _check_header(name, columns)
        rows = file.metadata.num_rows
        if rows > MOST_RECORDS:
            raise bad_file(f"{name} has {rows:,} rows; the limit is {MOST_RECORDS:,}")
        taken, number = 0, 0
        # A few rows at a time: what is one value in the file may stand in each of them.
        for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
            taken += batch.nbytes
            if taken > most_bytes:
                raise bad_file(f"{name} unpacks to more than {most_bytes:,} bytes, the limit")
            for values in batch.to_pylist():
                yield Record(f"{name}, row {number}", {k: _plain(v) for k, v in values.items()})
                number += 1
    except (pa.ArrowException, OSError) as error:
        detail = str(error).strip().splitlines()[0]
        raise bad_file(f"{name} is not a Parquet file that can be read: {detail}") from error


def _plain(value: Any) -> Any:
    """A Parquet value as JSON has it; what JSON has not is left for whoever checks the case."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(held) for key, held in value.items()}
    if isinstance(value, (list, tuple)):
        # A map comes as pairs, which nothing tells from a list of lists.
        return [_plain(held) for held in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
