"""Whether a rewrite did well enough on a few cases to be worth a full validation.

Which candidate to rewrite next: GEPA's draw from the Pareto front of per-case scores.

Source: Agrawal et al. 2025, "GEPA: Reflective Prompt Evolution", algorithm 2. A candidate that
leads on a few cases keeps its chance, so a lesson that only it learned is not lost.

Which rewrites of a prompt are refused before any case is spent on them.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cornerman.domain.training.cases import Case

AcceptanceMode = Literal["paired", "strict"]
# How many standard errors a gain must exceed. design/acceptance.md has the figures: more turns
# good rewrites away on minibatches of 3 to 8 cases, less lets noise through.
SUPPORT = 0.5
_EQUAL = 1e-9

Scores = Mapping[str, float | Sequence[float]]


@dataclass(frozen=True)
class Acceptance:
    """A decision about a rewrite, with its reason in words.

    Args:
        gain: Mean score of the child minus the parent's over the cases that both have; 0 without.
        standard_error: Of that gain.
    """

    accepted: bool
    reason: str
    gain: float
    standard_error: float = 0.0


def accept_child(
    parent_scores: Scores, child_scores: Scores, *, mode: AcceptanceMode = "paired"
) -> Acceptance:
    """Decide on a rewrite by its scores and its parent's on the same cases.

    `paired`: the mean gain must be over 0 and over half its standard error. The error is that of
    the case-by-case differences; when cases were repeated, it is at least what the repeats'
    spread says. `strict`: any gain will do, as in GEPA.

    Args:
        parent_scores: Score in 0..1 by case id, or several for repeats. Errored cases are absent.
        child_scores: The same of the rewrite.
    """
    shared = [case_id for case_id in parent_scores if case_id in child_scores]
    if not shared:
        return Acceptance(False, "no case was scored for both", 0.0)
    pairs = [(_all(parent_scores[name]), _all(child_scores[name])) for name in shared]
    import numpy as np

    changes = np.array([np.mean(child) - np.mean(parent) for parent, child in pairs])
    gain = float(changes.mean())
    error = max(float(changes.std()) / math.sqrt(len(pairs)), _repeat_error(pairs))
    said = f"gain {gain:+.3f} on {len(pairs)} cases (standard error {error:.3f})"
    if gain <= _EQUAL:
        return Acceptance(False, f"no gain: {said}", gain, error)
    if mode == "paired" and gain <= SUPPORT * error + _EQUAL:
        return Acceptance(False, f"within noise: {said}", gain, error)
    return Acceptance(True, said, gain, error)


def _all(scores: float | Sequence[float]) -> list[float]:
    return [float(scores)] if isinstance(scores, (int, float)) else [float(one) for one in scores]


def _repeat_error(pairs: Sequence[tuple[list[float], list[float]]]) -> float:
    """Return the mean gain's standard error that repeats of single cases show; 0 without any."""
    import numpy as np

    squared = 0.0
    for pair in pairs:
        for scores in pair:
            if len(scores) > 1:
                squared += float(np.var(scores, ddof=1)) / len(scores)
    return math.sqrt(squared) / len(pairs)


# Scores that differ by less are equal: they come from means of floats.
_LEVEL = 1e-9


def pareto_weights(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return the chance of each candidate on the front, in proportion to the cases it leads.

    A candidate is off the front when, on every case that it leads, another one of the front leads
    with it.

    Args:
        scores: Case scores by candidate id; a case that a candidate lacks counts for the others.

    Returns:
        Number of cases led by candidate id, front only. When no case has a score, every
        candidate has 1.
    """
    leaders = _leaders(scores)
    if not leaders:
        return dict.fromkeys(scores, 1.0)
    front = _undominated(leaders, scores)
    led = {name: 0.0 for name in scores if name in front}
    for names in leaders.values():
        for name in names & front:
            led[name] += 1.0
    return led


def _leaders(scores: Mapping[str, Mapping[str, float]]) -> dict[str, set[str]]:
    best: dict[str, float] = {}
    for by_case in scores.values():
        for case_id, score in by_case.items():
            best[case_id] = max(score, best.get(case_id, score))
    return {
        case_id: {
            name
            for name, by_case in scores.items()
            if case_id in by_case and by_case[case_id] >= top - _LEVEL
        }
        for case_id, top in best.items()
    }


def _undominated(
    leaders: Mapping[str, set[str]], scores: Mapping[str, Mapping[str, float]]
) -> set[str]:
    front = {name for names in leaders.values() for name in names}

    def mean(name: str) -> float:
        by_case = scores[name]
        return sum(by_case.values()) / len(by_case)

    # Weakest first, so that of two that cover each other the stronger stays; then by name, so
    # that the same scores always give the same front.
    for name in sorted(front, key=lambda name: (mean(name), name)):
        others = front - {name}
        if all(names & others for names in leaders.values() if name in names):
            front = others
    return front


def draw_parent(weights: Mapping[str, float], rng: random.Random) -> str:
    """Draw a candidate id by weight. The order of the mapping does not matter."""
    names = sorted(weights)
    return rng.choices(names, [weights[name] for name in names])[0]


SHORTEST_BOUND = 4000
GROWTH_BOUND = 3
# A run of so many words, or a whole text of so many characters, is a copy and not a coincidence.
COPIED_WORDS = 8
COPIED_CHARACTERS = 20
COMMON_SHARE = 0.2
_PLACEHOLDER = re.compile(r"(?<!\{)\{([A-Za-z_][A-Za-z0-9_.]*)\}(?!\})")
_WORD = re.compile(r"\w+")


def refuse_rewrite(
    new_text: str,
    old_text: str,
    train_cases: Sequence[Case],
    max_chars: int | None = None,
) -> str | None:
    """Return why a rewrite is refused, or None when it may be tried.

    Args:
        new_text: The proposed prompt.
        old_text: The prompt that it would replace.
        train_cases: The cases that the rewrite was made from; copying them would teach the
            answers by heart.
        max_chars: Longest rewrite; None: 4000, or three times the old prompt when that is more.
    """
    if not new_text.strip():
        return "the rewrite is empty"
    if new_text.strip() == old_text.strip():
        return "the rewrite is the same as the prompt"
    bound = max(SHORTEST_BOUND, GROWTH_BOUND * len(old_text)) if max_chars is None else max_chars
    if len(new_text) > bound:
        return f"the rewrite has {len(new_text)} characters; the bound is {bound}"
    lost = placeholders(old_text) - placeholders(new_text)
    if lost:
        return f"the rewrite lost the placeholder {{{sorted(lost)[0]}}}"
    return _copied_case(new_text, old_text, train_cases)


def placeholders(text: str) -> set[str]:
    """Return the names in `{name}` of a prompt; doubled braces are plain text."""
    return set(_PLACEHOLDER.findall(text))


def _copied_case(new_text: str, old_text: str, cases: Sequence[Case]) -> str | None:
    new, old = _WORD.findall(new_text.lower()), _WORD.findall(old_text.lower())
    added_runs = set(_runs(new)) - set(_runs(old))
    new_whole, old_whole = _spaced(new), _spaced(old)
    hits: dict[tuple[str, ...], list[Case]] = {}
    for case in cases:
        for text in _texts(case.inputs):
            words = _WORD.findall(text.lower())
            whole = _spaced(words)
            is_long = len(text.strip()) >= COPIED_CHARACTERS and bool(words)
            if is_long and whole in new_whole and whole not in old_whole:
                return f"the rewrite copies an input of train case {case.id}: {_short(whole)!r}"
        for run in added_runs.intersection(_case_runs(case)):
            hits.setdefault(run, []).append(case)
    # What many cases share is the task's own wording, such as its question, and may be said.
    shared = max(2, COMMON_SHARE * len(cases))
    rare = [(run, found[0]) for run, found in hits.items() if len(found) <= shared]
    if not rare:
        return None
    run, case = min(rare, key=lambda hit: (hit[1].index, hit[0]))
    return f"the rewrite copies train case {case.id}: {_short(' '.join(run))!r}"


def _case_runs(case: Case) -> set[tuple[str, ...]]:
    # An expected output counts by runs alone: a short one is a label that a prompt may list.
    texts = [*_texts(case.inputs), *_texts(case.expected_output)]
    return {run for text in texts for run in _runs(_WORD.findall(text.lower()))}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)


def _runs(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for start in range(len(words) - COPIED_WORDS + 1):
        yield tuple(words[start : start + COPIED_WORDS])


def _spaced(words: Sequence[str]) -> str:
    return f" {' '.join(words)} "


def _short(text: str) -> str:
    text = text.strip()
    return text if len(text) <= 60 else text[:59] + "…"
