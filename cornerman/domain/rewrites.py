"""Which rewrites of a prompt are refused before any case is spent on them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from cornerman.domain.cases import Case

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
