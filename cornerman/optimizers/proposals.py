"""Joining what two rewrites of one prompt changed, as version control joins two branches.

Asking the optimizer's model for several rewrites at once, and what came of each.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TypeVar

from cornerman.domain.errors import LLMError
from cornerman.domain.training.candidates import Candidate, Prompts
from cornerman.domain.training.cases import CaseResult
from cornerman.domain.training.optimizer import Lab
from cornerman.domain.training.search import refuse_rewrite
from cornerman.optimizers.feedback import Tried, parse_rewrite, rewrite_messages, with_text

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


T = TypeVar("T")


@dataclass(frozen=True)
class Proposal:
    """One rewrite of one prompt.

    Args:
        text: None when it was refused.
        refusal: Why; None when it may be tried.
    """

    name: str
    text: str | None
    refusal: str | None

    def applied(self, prompts: Prompts) -> Prompts:
        """The prompts with this rewrite."""
        return prompts if self.text is None else with_text(prompts, self.name, self.text)


async def ask_rewrite(
    lab: Lab,
    key: str,
    parent: Candidate,
    name: str,
    shown: Sequence[CaseResult],
    tried: Sequence[Tried] = (),
    steps: Mapping[str, str] | None = None,
) -> Proposal:
    """Ask for one rewrite and check it before any case is spent on it.

    Args:
        key: Unique within the epoch.
        tried: Earlier rewrites of this prompt that did not help.
        steps: What the agent did, by case id.

    Raises:
        StopError: The run must start no more work.
    """
    try:
        answer = await lab.rewrite(key, rewrite_messages(parent, name, shown, tried, steps))
    except LLMError as error:
        return Proposal(name, None, f"the model gave no usable answer ({error.kind})")
    text = parse_rewrite(answer)
    refusal = refuse_rewrite(text, parent.prompts[name].text, lab.train)
    if refusal is None and any(text == earlier.text for earlier in tried):
        refusal = "the rewrite was tried before"
    return Proposal(name, None if refusal else text, refusal)


def count_refusals(proposals: Sequence[Proposal]) -> str:
    """How many proposals were refused and why, in words; empty when none was."""
    reasons = Counter(p.refusal for p in proposals if p.refusal)
    if not reasons:
        return ""
    said = "; ".join(
        reason if count == 1 else f"{reason} ({count} times)" for reason, count in reasons.items()
    )
    return f"{reasons.total()} of {len(proposals)} rewrites refused: {said}"


async def all_of(work: Iterable[Awaitable[T]]) -> list[T]:
    """Results in order, once everything has ended; then the first error, if any.

    A plain gather would leave the others running behind the back of a run that stops.
    """
    outcomes = await asyncio.gather(*work, return_exceptions=True)
    results: list[T] = []
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
        results.append(outcome)
    return results
