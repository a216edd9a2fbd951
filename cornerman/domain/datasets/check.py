"""What is wrong with a dataset before anything is spent on it, and what it can show.

Faults make scores wrong: a case that is there twice, test cases that were learned from, splits that
can show nothing. Warnings are worth a look.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cornerman.domain.datasets import SplitOptions
from cornerman.domain.datasets.findings import (
    Finding,
    contradictions,
    empty_inputs,
    label_faults,
    labels_of,
    leaks,
    missing_outputs,
    repeated_cases,
)
from cornerman.domain.datasets.load import DatasetSplit, split_cases
from cornerman.domain.statistics import (
    FEWEST_TELLING_PAIRS,
    cases_for_gain,
    mean_interval,
    too_few_words,
)
from cornerman.domain.texts import counted
from cornerman.domain.training.cases import Case

GAINS = (0.02, 0.05, 0.1, 0.2)
# Changes that gain on some cases lose on others; so many is what is often seen.
LOSSES = 0.05
LIKELY = 0.8


@dataclass(frozen=True)
class Checked:
    """What a dataset is like.

    Args:
        splits: Number of cases by split.
        labels: Number of cases by expected output and split; empty where these are no labels.
        precision: How many cases show which gain; see `precision_of`.
    """

    cases: int
    splits: dict[str, int]
    note: str
    labels: dict[str, dict[str, int]]
    precision: dict[str, Any]
    findings: tuple[Finding, ...] = field(default_factory=tuple)

    @property
    def faults(self) -> int:
        return sum(finding.level == "fault" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            **vars(self),
            "faults": self.faults,
            "findings": [finding.as_dict() for finding in self.findings],
        }


def check_cases(
    cases: Sequence[Case], options: SplitOptions, gains: Iterable[float] = GAINS
) -> Checked:
    """Look a dataset over, split as a run would split it.

    Args:
        gains: Shares of cases for which `precision` says how many cases show them.
    """
    split = split_cases(cases, options)
    where = split.assignment
    labels = labels_of(cases, where)
    findings = [
        *empty_inputs(cases),
        *repeated_cases(cases),
        *contradictions(cases, labels=bool(labels)),
        *(leaks(cases, where) if not _is_small(split) else []),
        *missing_outputs(cases),
        *label_faults(labels),
        *_small_splits(split, options),
    ]
    sizes = {
        "train": len(split.train),
        "validation": len(split.validation),
        "test": len(split.test),
    }
    return Checked(
        len(cases),
        sizes,
        split.note,
        labels,
        precision_of(len(split.test), options, gains),
        tuple(sorted(findings, key=lambda found: found.level)),
    )


def _is_small(split: DatasetSplit) -> bool:
    """Whether every case is train and validation at once, by design."""
    return split.train == split.validation


def _small_splits(split: DatasetSplit, options: SplitOptions) -> list[Finding]:
    if _is_small(split):
        return [Finding("no_test_split", "fault", split.note, len(split.train))]
    if options.test == 0:
        return [Finding("no_test_split", "warning", split.note)]
    found = list[Finding]()
    if len(split.validation) < FEWEST_TELLING_PAIRS:
        held = counted(len(split.validation), "case")
        message = (
            f"validation has {held}; with under {FEWEST_TELLING_PAIRS} prompts are chosen by chance"
        )
        found.append(Finding("small_split", "fault", message, len(split.validation)))
    words = too_few_words(len(split.test))
    if words:
        level = "fault" if len(split.test) < FEWEST_TELLING_PAIRS else "warning"
        found.append(Finding("small_split", level, f"test: {words}", len(split.test)))
    return found


def precision_of(
    test_cases: int, options: SplitOptions, gains: Iterable[float] = GAINS
) -> dict[str, Any]:
    """How many cases show a gain in a paired interval of 95%.

    Returns:
        `test_cases` there are; `interval_points`, what that of a score of one half spans; and for
        each gain `cases` (fewer cannot show it), `likely` (so many show it in three of four runs,
        as simulated), `with_losses` (the same where 5% of the cases get worse meanwhile),
        `dataset` (all cases that `likely` takes), and whether the test cases are `enough`.
    """
    half = mean_interval([0.0, 1.0] * (test_cases // 2) + [1.0] * (test_cases % 2))
    spans = None if half.low is None or half.high is None else (half.high - half.low) * 100
    rows = list[dict[str, Any]]()
    for gain in sorted(set(gains)):
        cases, likely = cases_for_gain(gain), cases_for_gain(gain, power=LIKELY)
        rows.append(
            {
                "gain": gain,
                "cases": cases,
                "likely": likely,
                "with_losses": cases_for_gain(gain, losses=LOSSES, power=LIKELY),
                "dataset": math.ceil(likely / options.test) if options.test else None,
                "enough": test_cases >= likely,
            }
        )
    return {
        "test_cases": test_cases,
        "interval_points": None if spans is None else round(spans, 1),
        "gains": rows,
    }
