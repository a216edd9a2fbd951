"""Cases as files: written whole or not at all, and added to without saying anything twice."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

from cornerman.domain.errors import BadInputError


def require_jsonl(path: Path) -> None:
    """Refuse an output that is no JSONL file, before anything is done for it.

    Raises:
        BadInputError: Its ending says something else, or its folder is not there.
    """
    if path.suffix.lower() not in (".jsonl", ".ndjson"):
        raise BadInputError(f"--output is {str(path)!r}; it must end in .jsonl.", field="output")
    if not path.parent.is_dir():
        raise BadInputError(f"--output: there is no folder {path.parent}.", field="output")


def write_cases(path: Path, cases: Iterable[dict[str, Any]]) -> None:
    """Write a file of cases, one a line; who is killed meanwhile leaves the old one."""
    text = "".join(json.dumps(case, ensure_ascii=False) + "\n" for case in cases)
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def add_cases(path: Path, cases: Iterable[dict[str, Any]]) -> tuple[int, int]:
    """Add the cases whose content the file does not have yet.

    A case whose id another one has there gets a new one.

    Returns:
        How many were added, and how many were there.

    Raises:
        BadInputError: The file is there and holds something else than cases.
    """
    with _alone(path):
        return _add(path, cases)


@contextlib.contextmanager
def _alone(path: Path) -> Generator[None]:
    """Keep others from adding to the folder's files meanwhile: two nightly jobs may overlap."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _add(path: Path, cases: Iterable[dict[str, Any]]) -> tuple[int, int]:
    from cornerman.domain.datasets import DatasetOptions
    from cornerman.domain.datasets.likeness import content_key
    from cornerman.domain.datasets.load import load_cases

    kept, known, ids = list[dict[str, Any]](), set[str](), set[str]()
    if path.exists() and path.stat().st_size:
        there = load_cases(DatasetOptions.model_validate({"path": str(path.resolve())}))
        known = {content_key(case.inputs, case.expected_output) for case in there}
        ids = {case.id for case in there}
        kept = [
            json.loads(line) for line in path.read_text("utf-8-sig").split("\n") if line.strip()
        ]
    total, added = 0, list[dict[str, Any]]()
    for case in cases:
        total += 1
        key = content_key(case["inputs"], case["expected_output"])
        if key not in known:
            known.add(key)
            name = case["id"] if case["id"] not in ids else f"{case['id']}-{key[:8]}"
            ids.add(name)
            added.append({**case, "id": name})
    if added:
        write_cases(path, [*kept, *added])
    return len(added), total - len(added)
