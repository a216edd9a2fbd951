"""Joining what two rewrites of one prompt changed, as version control joins two branches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from cornerman.domain.candidates import Prompts

# A prompt's rules are its sentences and lines; rewrites add, drop and replace them.
_PIECE = re.compile(r"(?<=[.!?])[ \t]+|\n+")

_Change = tuple[int, int, list[str]]


def merge_prompts(base: Prompts, one: Prompts, other: Prompts) -> Prompts | None:
    """Both rewrites' changes in one set of prompts; None when they touch the same sentences."""
    merged: Prompts = {}
    for name, prompt in base.items():
        text = merge_texts(prompt.text, one[name].text, other[name].text)
        if text is None:
            return None
        merged[name] = prompt.model_copy(update={"text": text})
    return merged


def merge_texts(base: str, one: str, other: str) -> str | None:
    """The text with both rewrites' changes, or None when they touch the same sentences.

    A text that only one rewrite changed is taken as it is; otherwise each sentence of the result
    stands on a line of its own, since rules in a list read well in any order.
    """
    if other in (base, one):
        return one
    if one == base:
        return other
    pieces = _pieces(base)
    mine, theirs = _changes(pieces, _pieces(one)), _changes(pieces, _pieces(other))
    if any(_collide(left, right) for left in mine for right in theirs):
        return None
    merged: list[str] = []
    position = 0
    for start, end, added in sorted([*mine, *theirs], key=lambda change: change[:2]):
        merged += pieces[position:start]
        # Two rewrites often find the same rule; saying it twice helps nobody.
        merged += [piece for piece in added if piece not in merged]
        position = max(position, end)
    return "\n".join([*merged, *pieces[position:]])


def _pieces(text: str) -> list[str]:
    return [piece.strip() for piece in _PIECE.split(text) if piece.strip()]


def _changes(base: Sequence[str], new: Sequence[str]) -> list[_Change]:
    matcher = SequenceMatcher(None, base, new, autojunk=False)
    return [
        (start, end, list(new[first:last]))
        for tag, start, end, first, last in matcher.get_opcodes()
        if tag != "equal"
    ]


def _collide(one: _Change, other: _Change) -> bool:
    """Whether both replace or drop a same sentence, or one adds inside what the other replaces.

    Two additions at one place do not collide: both stay, in order.
    """
    (a, b, _), (c, d, _) = one, other
    return (a < d and c < b) or (a == b and c < a < d) or (c == d and a < c < b)
