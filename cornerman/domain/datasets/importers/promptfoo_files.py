"""The files that a promptfoo config refers to: tests, variables, prompts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from cornerman.domain.datasets.content import bad_file, ending_of, loads, read_text
from cornerman.domain.datasets.files import read_records
from cornerman.domain.datasets.importers.promptfoo_asserts import assert_of_text
from cornerman.domain.yaml_values import read_yaml

Place = str

_SCHEME = "file://"
_CODE = (".js", ".cjs", ".mjs", ".ts", ".mts", ".cts", ".py", ".rb", ".go", ".sh")
_TEXTS = (".txt", ".md", ".html", ".xml", ".j2")
_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_ELSEWHERE = re.compile(r"(?!file:)[a-z][a-z0-9+.-]*://")
_WILD = "*?["
_MOST_FILES = 10_000
_SEPARATOR = re.compile(r"^---\s*$", re.MULTILINE)


def as_map(value: Any) -> Mapping[str, Any]:
    """The value if it is an object, else an empty one."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def as_list(value: Any) -> list[Any]:
    """The value as a list: itself, or of one; None is empty."""
    if value is None:
        return []
    return cast("list[Any]", value) if isinstance(value, list) else [value]


def without_scheme(text: str) -> str:
    """A reference's path."""
    return text.removeprefix(_SCHEME)


def read_document(path: Path) -> Any:
    """A YAML or JSON file's value.

    Raises:
        BadInputError: It is neither.
    """
    text = read_text(path)
    if ending_of(path)[0] == ".json":
        return loads(text, path.name)
    try:
        return read_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise bad_file(f"{path.name} is not YAML: {error}") from error


@dataclass
class Folder:
    """Where a config's references start from.

    Args:
        kept: How many variables and assertions name files that are no text, and the first.
    """

    path: Path
    kept: int = 0
    kept_first: str = ""
    _open: list[Path] = field(default_factory=list[Path])

    def file(self, reference: str) -> Path:
        """The file that a reference names.

        Raises:
            BadInputError: There is none.
        """
        path = self.path / without_scheme(reference)
        if "\x00" in reference or not path.is_file():
            raise bad_file(f"{reference!r} in the config names no file; looked for {path}")
        return path

    def tests(self, held: Any, name: str) -> Iterator[tuple[Place, Any]]:
        """The tests that a config's field comes to; a text in a test's place is why it is none."""
        for number, one in enumerate(as_list(held)):
            place = f"{name}, test {number}"
            if isinstance(one, Mapping) and isinstance(one.get("path"), str):
                one = one["path"]
            if isinstance(one, str):
                yield from self._referred(one, place)
            elif isinstance(one, Mapping):
                yield place, cast("Mapping[str, Any]", one)
            else:
                yield place, "no test"

    def _referred(self, reference: str, place: Place) -> Iterator[tuple[Place, Any]]:
        if _ELSEWHERE.match(reference):
            yield place, f"tests at an address ({reference.split('/')[0]}//...), not fetched"
            return
        plain = without_scheme(reference)
        # `tests.py:create` names a function in it, `tests.xlsx#2` a sheet.
        if Path(re.split(r"[:#]", plain)[0]).suffix.lower() in _CODE:
            yield place, "tests made by code, which is not run"
            return
        if Path(plain.split("#")[0]).suffix.lower() in (".xlsx", ".xls"):
            yield place, "tests in a spreadsheet; save it as CSV"
            return
        for path in self._files(plain):
            if path in self._open:
                yield place, "a file of tests that refers to itself"
                continue
            self._open.append(path)
            yield from self._in_file(path)
            self._open.pop()

    def _files(self, plain: str) -> list[Path]:
        """The files that a path, a folder or a pattern comes to.

        Raises:
            BadInputError: There is none of that name, or the pattern matches a whole disk.
        """
        if not plain.strip():
            raise bad_file("a reference in the config names no file: it is empty")
        if (self.path / plain).is_dir():
            plain = f"{plain.rstrip('/')}/**/*"
        if not any(mark in plain for mark in _WILD):
            return [self.file(plain)]
        known = (".yaml", ".yml", ".json", *_TABLES)
        return [path for path in self._matching(plain) if path.suffix.lower() in known]

    def _matching(self, pattern: str) -> list[Path]:
        anchor = Path(pattern).anchor
        root = Path(anchor) if anchor else self.path
        found = list[Path]()
        try:
            for path in root.glob(pattern.removeprefix(anchor)):
                found.append(path)
                if len(found) > _MOST_FILES:
                    raise bad_file(
                        f"{pattern!r} in the config matches more than {_MOST_FILES:,} files"
                    )
            return sorted(path for path in found if path.is_file())
        except (OSError, ValueError, NotImplementedError) as error:
            raise bad_file(f"{pattern!r} in the config cannot be looked up: {error}") from error

    def _in_file(self, path: Path) -> Iterator[tuple[Place, Any]]:
        ending = ending_of(path)[0]
        if ending in (".csv", ".tsv"):
            for record in read_records(path):
                yield record.place, _test_of_row(record.values)
        elif ending in _TABLES:
            for record in read_records(path):
                yield record.place, record.values
        else:
            document = read_document(path)
            # What it refers to starts from the config's folder too, as promptfoo has it.
            held = as_map(document).get("tests", document)
            yield from self.tests(held, path.name)

    def objects(self, held: Any) -> list[Mapping[str, Any]]:
        """The objects that a field holds, or that the files hold which it names."""
        if not isinstance(held, str):
            return [as_map(held)]
        found = list[Mapping[str, Any]]()
        for path in self._files(without_scheme(held)):
            found += [as_map(one) for one in as_list(read_document(path))]
        return found

    def variables(self, held: Any) -> dict[str, Any]:
        """A test's variables, those of files read."""
        if isinstance(held, (str, list)):
            found = dict[str, Any]()
            for reference in as_list(held):
                for one in self.objects(reference):
                    found |= self.variables(one)
            return found
        return {str(name): self.value(value) for name, value in as_map(held).items()}

    def value(self, value: Any) -> Any:
        """A value, or what the text file holds that it names."""
        if isinstance(value, list):
            return [self.value(one) for one in cast("list[Any]", value)]
        if not isinstance(value, str) or not value.startswith(_SCHEME):
            return value
        ending = Path(value).suffix.lower()
        if ending in (".yaml", ".yml", ".json"):
            return read_document(self.file(value))
        if ending in _TEXTS:
            return read_text(self.file(value)).strip()
        self.kept += 1
        self.kept_first = self.kept_first or value
        return value

    def texts(self, reference: str) -> list[str]:
        """The prompts of a text file, which lines of three dashes part; none where it is code."""
        plain = without_scheme(reference)
        if Path(plain.split(":")[0]).suffix.lower() in _CODE or _ELSEWHERE.match(reference):
            return []
        if any(mark in plain for mark in _WILD):
            paths = self._matching(plain)
        else:
            path = self.path / plain
            # A prompt may be a text that merely looks like a file's name.
            paths = [path] if path.is_file() else []
        found = list[str]()
        for path in paths:
            text = read_text(path)
            found += _SEPARATOR.split(text) if path.suffix.lower() == ".txt" else [text]
        return found


def _test_of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A table's row as a test: columns that begin with two underscores say how it is checked."""
    variables, metadata = dict[str, Any](), dict[str, Any]()
    test: dict[str, Any] = {"assert": []}
    for name, cell in row.items():
        if name.startswith("__expected"):
            if str(cell).strip():
                test["assert"].append(assert_of_text(str(cell)))
        elif name.startswith("__metadata:"):
            key = name.removeprefix("__metadata:")
            if key.endswith("[]"):
                parts = re.split(r"(?<!\\),", str(cell))
                metadata[key[:-2]] = [part.replace("\\,", ",").strip() for part in parts]
            else:
                metadata[key] = cell
        elif name == "__description":
            test["description"] = cell
        elif name == "__threshold" and cell:
            metadata["threshold"] = cell
        elif not name.startswith("__"):
            variables[name] = cell
    return test | {"vars": variables, "metadata": metadata}
