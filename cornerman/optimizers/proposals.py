"""Asking the optimizer's model for several rewrites at once, and what came of each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from cornerman.domain.candidates import Candidate, Prompts
from cornerman.domain.cases import CaseResult
from cornerman.domain.errors import LLMError
from cornerman.domain.optimizer import Lab
from cornerman.domain.rewrites import refuse_rewrite
from cornerman.optimizers.feedback import Tried, parse_rewrite, rewrite_messages, with_text

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
) -> Proposal:
    """Ask for one rewrite and check it before any case is spent on it.

    Args:
        key: Unique within the epoch.
        tried: Earlier rewrites of this prompt that did not help.

    Raises:
        StopError: The run must start no more work.
    """
    try:
        answer = await lab.rewrite(key, rewrite_messages(parent, name, shown, tried))
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
