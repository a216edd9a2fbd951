"""What is wrong with a dataset before anything is spent on it, and what it can show.

Faults make scores wrong: a case that is there twice, test cases that were learned from, splits that
can show nothing. Warnings are worth a look.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from cornerman.domain.datasets import SplitOptions
from cornerman.domain.datasets.likeness import content_key, plain_text
from cornerman.domain.datasets.load import DatasetSplit, split_cases
from cornerman.domain.json_values import shown
from cornerman.domain.statistics import (
    FEWEST_TELLING_PAIRS,
    cases_for_gain,
    mean_interval,
    too_few_words,
)
from cornerman.domain.training.cases import Case

Level = Literal["fault", "warning"]

GAINS = (0.02, 0.05, 0.1, 0.2)
# Changes that gain on some cases lose on others; so many is what is often seen.
LOSSES = 0.05
LIKELY = 0.8
_EXAMPLES = 5
_LONGEST_LABEL = 60
_MOST_LABELS = 200
_CASES_PER_LABEL = 3
_UNBALANCED = 0.8


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Args:
        kind: Such as `leak`; the same from version to version.
        count: How many cases it is about.
        cases: Ids of the first few.
    """

    kind: str
    level: Level
    message: str
    count: int = 0
    cases: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "cases": list(self.cases)}


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
    labels = _labels(cases, where)
    findings = [
        *_empty(cases),
        *_repeated(cases),
        *_contradictions(cases),
        *(_leaks(cases, where) if not _is_small(split) else []),
        *_expected(cases),
        *_label_faults(labels),
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


def _grouped(cases: Iterable[Case], key: Callable[[Case], str]) -> list[list[Case]]:
    """The groups of cases of the same key that have more than one."""
    groups = dict[str, list[Case]]()
    for case in cases:
        groups.setdefault(key(case), []).append(case)
    return [group for group in groups.values() if len(group) > 1]


def _found(kind: str, level: Level, cases: Sequence[Case], message: str) -> Finding:
    ids = tuple(case.id for case in cases[:_EXAMPLES])
    return Finding(kind, level, message, len(cases), ids)


def _cases(cases: Sequence[Case]) -> str:
    return "1 case" if len(cases) == 1 else f"{len(cases)} cases"


def _names(labels: Sequence[str]) -> str:
    names = ", ".join(map(shown, labels[:_EXAMPLES]))
    more = len(labels) - _EXAMPLES
    return f"{names} and {more} more" if more > 0 else names


def _together(group: Sequence[Case]) -> str:
    names = ", ".join(case.id for case in group[:_EXAMPLES])
    return names + (", …" if len(group) > _EXAMPLES else "")


def _is_blank(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, (list, dict)):
        held = value.values() if isinstance(value, dict) else value
        return all(_is_blank(one) for one in held)
    return value is None


def _empty(cases: Sequence[Case]) -> list[Finding]:
    empty = [case for case in cases if _is_blank(case.inputs)]
    if not empty:
        return []
    return [_found("empty_input", "fault", empty, f"{_cases(empty)} with nothing as input")]


def _exact(case: Case) -> str:
    return content_key(case.inputs, case.expected_output)


def _near(case: Case) -> str:
    return f"{plain_text(case.inputs)}\x1d{plain_text(case.expected_output)}"


def _repeated(cases: Sequence[Case]) -> list[Finding]:
    found = list[Finding]()
    same = _grouped(cases, _exact)
    extra = [case for group in same for case in group[1:]]
    if extra:
        found.append(
            _found(
                "duplicate",
                "fault",
                extra,
                f"{_cases(extra)} given more than once, such as {_together(same[0])}: each counts "
                "as often, and intervals look narrower than they are",
            )
        )
    repeated = {case.id for case in extra}
    near = _grouped((case for case in cases if case.id not in repeated), _near)
    like = [case for group in near for case in group[1:]]
    if like:
        found.append(
            _found(
                "near_duplicate",
                "warning",
                like,
                f"{_cases(like)} different from another one in case, spaces or punctuation alone, "
                f"such as {_together(near[0])}",
            )
        )
    return found


def _contradictions(cases: Sequence[Case]) -> list[Finding]:
    found = list[Finding]()
    answered = [case for case in cases if case.expected_output is not None]
    exact = _conflicting(answered, lambda case: content_key(case.inputs, None))
    if exact:
        wrong = [case for group in exact for case in group]
        found.append(
            _found(
                "contradiction",
                "fault",
                wrong,
                f"{_cases(wrong)} with the same inputs and another expected output, such as "
                f"{_answers(exact[0])}: no prompt gets all of them right",
            )
        )
    known = {case.id for group in exact for case in group}
    rest = [case for case in answered if case.id not in known]
    near = _conflicting(rest, lambda case: plain_text(case.inputs))
    if near:
        doubtful = [case for group in near for case in group]
        found.append(
            _found(
                "near_contradiction",
                "warning",
                doubtful,
                f"{_cases(doubtful)} with nearly the same inputs and another expected output, such "
                f"as {_answers(near[0])}",
            )
        )
    return found


def _conflicting(cases: Iterable[Case], key: Callable[[Case], str]) -> list[list[Case]]:
    groups = _grouped(cases, key)
    return [group for group in groups if len({plain_text(c.expected_output) for c in group}) > 1]


def _answers(group: Sequence[Case]) -> str:
    other = next(c for c in group if _near(c) != _near(group[0]))
    pair = (group[0], other)
    return " and ".join(f"{case.id} ({shown(case.expected_output)})" for case in pair)


def _leaks(cases: Sequence[Case], where: dict[str, list[Any]]) -> list[Finding]:
    """Cases of one split whose like is in another one."""
    leaked = list[Case]()
    example = ""
    seen_in = {"test": 0, "validation": 0}
    for group in _grouped(cases, _near):
        splits = {case.id: where.get(case.id, ["?"])[0] for case in group}
        if len(set(splits.values())) < 2:
            continue
        # Train is learned from; what is in it too is no test of anything.
        first = "train" if "train" in splits.values() else "validation"
        later = [case for case in group if splits[case.id] != first]
        leaked += later
        for case in later:
            seen_in[splits[case.id]] += 1
        known = next(case.id for case in group if splits[case.id] == first)
        example = example or f"{later[0].id} ({splits[later[0].id]}) and {known} ({first})"
    if not leaked:
        return []
    sizes = Counter(split for splits in where.values() for split in splits)
    counts = " and ".join(
        f"{count} of {sizes[name]} {name} cases" for name, count in seen_in.items() if count
    )
    message = f"{counts} found in an earlier split too, such as {example}: scores flatter"
    return [_found("leak", "fault", leaked, message)]


def _expected(cases: Sequence[Case]) -> list[Finding]:
    without = [case for case in cases if case.expected_output is None]
    if not without:
        return []
    if len(without) == len(cases):
        message = "no case has an expected output, so only evaluators that need none can score"
    else:
        message = f"{len(without)} of {len(cases)} cases without an expected output"
    return [_found("no_expected_output", "warning", without, message)]


def _labels(cases: Sequence[Case], where: dict[str, list[Any]]) -> dict[str, dict[str, int]]:
    """Cases by label and split, the most frequent first; empty where outputs are no labels."""
    outputs = [case.expected_output for case in cases]
    if not outputs or not all(_is_label(output) for output in outputs):
        return {}
    counts = Counter(map(_label, outputs))
    if len(counts) > min(_MOST_LABELS, max(2, len(cases) // _CASES_PER_LABEL)):
        return {}
    found: dict[str, dict[str, int]] = {}
    for label, count in counts.most_common():
        found[label] = {"all": count, "train": 0, "validation": 0, "test": 0}
    for case in cases:
        for split in where.get(case.id, []):
            found[_label(case.expected_output)][split] += 1
    return found


def _is_label(output: Any) -> bool:
    if isinstance(output, str):
        return 0 < len(output) <= _LONGEST_LABEL
    return isinstance(output, (bool, int))


def _label(output: Any) -> str:
    return output if isinstance(output, str) else str(output)


def _label_faults(labels: dict[str, dict[str, int]]) -> list[Finding]:
    if not labels:
        return []
    found = list[Finding]()
    total = sum(counts["all"] for counts in labels.values())
    first, counts = next(iter(labels.items()))
    share = counts["all"] / total
    if share >= _UNBALANCED:
        message = f"{share:.0%} of the cases expect {shown(first)}: to say it always scores as much"
        found.append(Finding("unbalanced", "warning", message, counts["all"]))
    unlearned = [label for label, held in labels.items() if held["train"] == 0 and held["all"] > 0]
    if unlearned:
        message = f"labels without a case in train: {_names(unlearned)}"
        number = sum(labels[label]["all"] for label in unlearned)
        found.append(Finding("label_not_in_train", "warning", message, number))
    spellings = dict[str, list[str]]()
    for label in labels:
        spellings.setdefault(plain_text(label), []).append(label)
    twice = [spelled for spelled in spellings.values() if len(spelled) > 1]
    if twice:
        words = "; ".join(" and ".join(map(shown, spelled)) for spelled in twice[:_EXAMPLES])
        message = f"labels spelled in several ways: {words}"
        found.append(Finding("label_spellings", "warning", message, len(twice)))
    return found


def _small_splits(split: DatasetSplit, options: SplitOptions) -> list[Finding]:
    if _is_small(split):
        return [Finding("no_test_split", "fault", split.note, len(split.train))]
    if options.test == 0:
        return [Finding("no_test_split", "warning", split.note)]
    found = list[Finding]()
    if len(split.validation) < FEWEST_TELLING_PAIRS:
        message = (
            f"validation has {len(split.validation)} cases; with under {FEWEST_TELLING_PAIRS} "
            "prompts are chosen by chance"
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
