"""What a dataset's file holds: its bytes, unpacked within a limit, and its text."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import io
import json
import zlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cornerman.domain.errors import BadInputError

FIELD = "dataset.path"
# Of a compressed file, unpacked: a few kilobytes may hold terabytes.
MOST_UNPACKED_BYTES = 1 << 30
MOST_RECORDS = 1_000_000
_GZIP_MARK = b"\x1f\x8b"
# The longer mark first, since it begins with the shorter one.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)


@dataclass(frozen=True)
class Record:
    """One record of a file and where it stands, such as `cases.csv, line 7`."""

    place: str
    values: dict[str, Any]


def bad_file(text: str, hint: str = "") -> BadInputError:
    """The refusal of a dataset's file; `text` begins with its name or a place in it."""
    return BadInputError(f"{FIELD}: {text}", field=FIELD, hint=hint)


@contextlib.contextmanager
def as_file() -> Generator[None]:
    """Have refusals speak of the file that a command was given, which no spec names."""
    try:
        yield
    except BadInputError as error:
        if error.field != FIELD:
            raise
        said = error.message.removeprefix(f"{FIELD}: ")
        raise BadInputError(said, field="file", hint=error.hint) from error


def ending_of(path: Path) -> tuple[str, bool]:
    """The ending that says what a file holds, such as `.csv`, and whether it is compressed."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = bool(suffixes) and suffixes[-1] == ".gz"
    if packed:
        suffixes.pop()
    return (suffixes[-1] if suffixes else ""), packed


def read_bytes(path: Path, most_bytes: int = MOST_UNPACKED_BYTES) -> bytes:
    """Return a file's content; that of a `.gz` file unpacked, never more than `most_bytes`.

    Raises:
        BadInputError: It cannot be read, is no gzip file, is cut off, or unpacks to more.
    """
    packed = ending_of(path)[1]
    try:
        content = path.read_bytes()
    except OSError as error:
        raise bad_file(f"{path} cannot be read: {error.strerror}") from error
    if not packed and content.startswith(_GZIP_MARK):
        raise bad_file(
            f"{path.name} is compressed by gzip", f"Name it so: {path.name}.gz, or unpack it."
        )
    return _unpacked(path.name, content, most_bytes) if packed else content


def _unpacked(name: str, content: bytes, most_bytes: int) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            found = file.read(most_bytes + 1)
    except gzip.BadGzipFile as error:
        raise bad_file(f"{name} is not compressed by gzip, as its ending says") from error
    except (EOFError, zlib.error) as error:
        raise bad_file(f"{name} cannot be unpacked to its end: {error}") from error
    if len(found) > most_bytes:
        raise bad_file(
            f"{name} unpacks to more than {most_bytes:,} bytes, which is the limit",
            "Split it, or take the part that you need.",
        )
    return found


def read_text(path: Path, most_bytes: int = MOST_UNPACKED_BYTES) -> str:
    """Return a text file's text: UTF-8, or what its byte order mark says, without the mark.

    Raises:
        BadInputError: As `read_bytes`, or it is no such text.
    """
    content = read_bytes(path, most_bytes)
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        said = "UTF-8" if encoding.startswith("utf-8") else encoding.upper()
        raise bad_file(
            f"{path.name} is not {said} text (byte {error.start} cannot be read, line {line})",
            "Save it as UTF-8.",
        ) from error
    # Valid UTF-8 all the same, as long as it is ASCII: every other byte is NUL.
    if encoding == "utf-8" and content[:200].count(b"\x00") * 4 > len(content[:200]):
        raise bad_file(f"{path.name} is UTF-16 text without a byte order mark", "Save it as UTF-8.")
    return text


def loads(text: str, place: str) -> Any:
    """Return the JSON value of a text.

    Raises:
        BadInputError: It is none, is nested too deep, or has numbers of thousands of digits.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        detail = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise bad_file(f"{place} is not valid JSON: {detail}") from error
