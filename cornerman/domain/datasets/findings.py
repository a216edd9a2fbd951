"""What may be wrong with a dataset's cases, one function a fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cornerman.domain.datasets.likeness import content_key, plain_text
from cornerman.domain.json_values import shown
from cornerman.domain.texts import counted
from cornerman.domain.training.cases import Case, Split

Level = Literal["fault", "warning"]
Assignment = Mapping[str, Sequence[Split]]

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


def _grouped(cases: Iterable[Case], key: Callable[[Case], str]) -> list[list[Case]]:
    """The groups of cases of the same key that have more than one."""
    groups = dict[str, list[Case]]()
    for case in cases:
        groups.setdefault(key(case), []).append(case)
    return [group for group in groups.values() if len(group) > 1]


def _found(kind: str, level: Level, cases: Sequence[Case], words: str) -> Finding:
    """A finding about cases; `words` follow their number."""
    message = f"{counted(len(cases), 'case')} {words}"
    return _said(kind, level, cases, message)


def _said(kind: str, level: Level, cases: Sequence[Case], message: str) -> Finding:
    ids = tuple(case.id for case in cases[:_EXAMPLES])
    return Finding(kind, level, message, len(cases), ids)


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


def empty_inputs(cases: Sequence[Case]) -> list[Finding]:
    """Cases that ask nothing."""
    empty = [case for case in cases if _is_blank(case.inputs)]
    if not empty:
        return []
    return [_found("empty_input", "fault", empty, "with nothing as input")]


def _exact(case: Case) -> str:
    return content_key(case.inputs, case.expected_output)


def _near(case: Case) -> str:
    return f"{plain_text(case.inputs)}\x1d{plain_text(case.expected_output)}"


def repeated_cases(cases: Sequence[Case]) -> list[Finding]:
    """Cases that are there twice, exactly or as good as."""
    found = list[Finding]()
    same = _grouped(cases, _exact)
    extra = [case for group in same for case in group[1:]]
    if extra:
        found.append(
            _found(
                "duplicate",
                "fault",
                extra,
                f"given more than once, such as {_together(same[0])}: each counts as often, and "
                "intervals look narrower than they are",
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
                "different from another one in case, spaces or punctuation alone, such as "
                f"{_together(near[0])}",
            )
        )
    return found


def contradictions(cases: Sequence[Case], *, labels: bool) -> list[Finding]:
    """Cases that ask the same and expect something else.

    Args:
        labels: Expected outputs are labels, of which one is right; free texts may differ.
    """
    found = list[Finding]()
    answered = [case for case in cases if case.expected_output is not None]
    exact = _conflicting(answered, lambda case: content_key(case.inputs, None))
    if exact:
        wrong = [case for group in exact for case in group]
        found.append(
            _found(
                "contradiction",
                "fault" if labels else "warning",
                wrong,
                "with the same inputs and another expected output, such as "
                f"{_answers(exact[0])}" + (": no prompt gets all of them right" if labels else ""),
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
                "with nearly the same inputs and another expected output, such as "
                f"{_answers(near[0])}",
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


def leaks(cases: Sequence[Case], where: Assignment) -> list[Finding]:
    """Cases of one split whose like is in another one.

    The like asks exactly the same, or nearly the same and expects it too.
    """
    leaked = dict[str, Case]()
    example = ""
    asked_again = _grouped(cases, lambda case: content_key(case.inputs, None))
    for group in [*asked_again, *_grouped(cases, _near)]:
        splits = {case.id: where.get(case.id, ["?"])[0] for case in group}
        if len(set(splits.values())) < 2:
            continue
        # Train is learned from; what is in it too is no test of anything.
        first = "train" if "train" in splits.values() else "validation"
        later = [case for case in group if splits[case.id] != first]
        leaked |= {case.id: case for case in later}
        known = next(case.id for case in group if splits[case.id] == first)
        example = example or f"{later[0].id} ({splits[later[0].id]}) and {known} ({first})"
    if not leaked:
        return []
    sizes = Counter(split for splits in where.values() for split in splits)
    seen_in = Counter(where[case_id][0] for case_id in leaked)
    counts = " and ".join(
        f"{seen_in[name]} of {sizes[name]} {name} cases"
        for name in ("test", "validation")
        if seen_in[name]
    )
    message = f"{counts} found in an earlier split too, such as {example}: scores flatter"
    return [_said("leak", "fault", list(leaked.values()), message)]


def missing_outputs(cases: Sequence[Case]) -> list[Finding]:
    """Cases without an expected output."""
    without = [case for case in cases if case.expected_output is None]
    if not without:
        return []
    if len(without) == len(cases):
        message = "no case has an expected output, so only evaluators that need none can score"
    else:
        message = f"{len(without)} of {len(cases)} cases without an expected output"
    return [_said("no_expected_output", "warning", without, message)]


def labels_of(cases: Sequence[Case], where: Assignment) -> dict[str, dict[str, int]]:
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


def label_faults(labels: dict[str, dict[str, int]]) -> list[Finding]:
    """What is odd about labels: one that outweighs, one never learned, two spellings."""
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
