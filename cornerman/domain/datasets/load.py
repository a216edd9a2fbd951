"""A run's cases: taken from the request or its file, split, and fingerprinted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cornerman.domain.datasets import DatasetOptions, SplitOptions, duplicate_id
from cornerman.domain.datasets.files import read_records, resolve_path
from cornerman.domain.datasets.records import case_of
from cornerman.domain.errors import BadInputError
from cornerman.domain.json_values import shown
from cornerman.domain.patterns import Pattern, compile_pattern
from cornerman.domain.training import EvaluatorOptions
from cornerman.domain.training.cases import Case, Split

# With fewer cases, splits would be too small to tell anything.
SMALLEST_SPLIT_DATASET = 10


@dataclass(frozen=True)
class DatasetSplit:
    """The cases by their use, each in the dataset's order.

    Args:
        note: What a reader of the result must know about the split; empty when nothing.
    """

    train: tuple[Case, ...]
    validation: tuple[Case, ...]
    test: tuple[Case, ...]
    note: str = ""

    @property
    def assignment(self) -> dict[str, list[Split]]:
        """The splits that each case id belongs to."""
        found: dict[str, list[Split]] = {}
        parts: tuple[tuple[Split, tuple[Case, ...]], ...] = (
            ("train", self.train),
            ("validation", self.validation),
            ("test", self.test),
        )
        for name, cases in parts:
            for case in cases:
                found.setdefault(case.id, []).append(name)
        return found


def load_cases(
    dataset: DatasetOptions,
    base: Path | None = None,
    max_cases: int | None = None,
    *,
    folders: Sequence[Path] | None = None,
) -> tuple[Case, ...]:
    """Return a dataset's cases in its order.

    Args:
        base: Folder that a relative path starts from; None: the current folder.
        max_cases: Keep the first so many; None: all.
        folders: Folders that a file must lie in; None: anywhere. For requests over HTTP.

    Raises:
        BadInputError: The file or a record cannot be used; names the file, line and column.
    """
    if dataset.cases is not None:
        cases = tuple(
            Case(given.id or str(index), index, given.inputs, given.expected_output, given.metadata)
            for index, given in enumerate(dataset.cases)
        )
        places = [f"dataset.cases.{case.index}" for case in cases]
    else:
        path = resolve_path(dataset.path or "", base, folders)
        records = read_records(path, dataset.records)
        cases = tuple(
            case_of(record, index, dataset.columns) for index, record in enumerate(records)
        )
        places = [record.place for record in records]
        _check_ids(cases, places)
    if dataset.expected_pattern:
        pattern = compile_pattern(dataset.expected_pattern)
        cases = tuple(
            _narrowed(case, pattern, place) for case, place in zip(cases, places, strict=True)
        )
    return cases[:max_cases]


def _check_ids(cases: Sequence[Case], places: Sequence[str]) -> None:
    duplicate = duplicate_id(case.id for case in cases)
    if duplicate is not None:
        first, second, name = duplicate
        raise BadInputError(
            f"dataset.columns.id: {places[second]} has the id {shown(name)} of {places[first]}; "
            "ids must be unique",
            field="dataset.columns.id",
        )


def _narrowed(case: Case, pattern: Pattern, place: str) -> Case:
    found = pattern.search(str(case.expected_output))
    if found is None or found[1] is None:
        raise BadInputError(
            f"dataset.expected_pattern: {pattern.text!r} is not found in the expected output "
            f"of {place}: {shown(case.expected_output)}",
            field="dataset.expected_pattern",
        )
    return replace(case, expected_output=found[1].strip())


def split_cases(cases: Sequence[Case], split: SplitOptions) -> DatasetSplit:
    """Split cases into train, validation and test.

    A case's place depends on its id and the seed alone, not on the order of the file. Under ten
    cases all are train and validation, and the note says so.
    """
    if len(cases) < SMALLEST_SPLIT_DATASET:
        note = (
            f"{len(cases)} cases are under {SMALLEST_SPLIT_DATASET}: all are train and "
            "validation, there is no test, and scores may flatter the prompts."
        )
        return DatasetSplit(tuple(cases), tuple(cases), (), note)
    shuffled = sorted(cases, key=lambda case: _rank(case.id, split.seed))
    train, validation, _ = _sizes(len(cases), (split.train, split.validation, split.test))
    parts = (shuffled[:train], shuffled[train : train + validation], shuffled[train + validation :])
    in_order = [tuple(sorted(part, key=lambda case: case.index)) for part in parts]
    note = "" if split.test else "The split has no test share, so no test score is given."
    return DatasetSplit(in_order[0], in_order[1], in_order[2], note)


def _rank(case_id: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{case_id}".encode()).hexdigest()


def _sizes(total: int, fractions: tuple[float, float, float]) -> list[int]:
    """Return whole sizes by largest remainder, at least 1 where the fraction is over 0."""
    whole = sum(fractions)
    exact = [total * fraction / whole for fraction in fractions]
    sizes = [int(size + 1e-9) for size in exact]
    by_remainder = sorted(range(3), key=lambda part: sizes[part] - exact[part])
    for part in by_remainder[: total - sum(sizes)]:
        sizes[part] += 1
    for part, fraction in enumerate(fractions):
        if fraction > 0 and sizes[part] == 0:
            sizes[sizes.index(max(sizes))] -= 1
            sizes[part] = 1
    return sizes


def fingerprint(
    cases: Sequence[Case], split: DatasetSplit, evaluators: Sequence[EvaluatorOptions]
) -> str:
    """Return 16 hex digits that change when scores stop being comparable.

    Covers ids, inputs, expected outputs, the split and the evaluators with their weights.
    """
    assignment = split.assignment
    content = {
        "cases": [
            [case.id, case.inputs, case.expected_output, assignment.get(case.id, [])]
            for case in cases
        ],
        "evaluators": [evaluator.model_dump(mode="json") for evaluator in evaluators],
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
