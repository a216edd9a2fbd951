"""What a landscape is: a task whose agent follows the rules that its prompt states.

Rules that several landscapes have in common.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from cornerman.rehearsal.words import Chance

# A prompt longer than this begins to distract the agent.
COMFORTABLE_PROMPT_CHARS = 1_500
# Share of cases that no prompt can mend.
IRREDUCIBLE_ERROR = 0.07
# Share of answers that go astray when a temperature is set.
NOISE = 0.10


@dataclass(frozen=True)
class Feedback:
    """A failed case, as an optimizer reads it; `text` is the case's input as text."""

    text: str
    expected: str
    output: str


@dataclass(frozen=True)
class Rule:
    """One thing that a prompt can say and that changes the agent's answers.

    Args:
        said: Regular expressions, any of which shows that a prompt states the rule.
        denied: Regular expressions that show its opposite.
        phrasings: How an optimizer may write it; each is recognised by `said`.
        symptom: Whether a failed case looks as if this rule were missing.
    """

    name: str
    said: tuple[str, ...]
    phrasings: tuple[str, ...]
    symptom: Callable[[Feedback], bool]
    denied: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()

    def strength(self, prompt: str) -> float:
        """1 stated, 0.5 stated and contradicted, 0 absent, -0.5 only contradicted."""
        is_said = any(_compiled(pattern).search(prompt) for pattern in self.said)
        is_denied = any(_compiled(pattern).search(prompt) for pattern in self.denied)
        if is_said:
            return 0.5 if is_denied else 1.0
        return -0.5 if is_denied else 0.0


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


class Landscape(Protocol):
    """A task of the rehearsal agent."""

    name: str
    rules: tuple[Rule, ...]

    def fits(self, prompt: str, text: str) -> bool:
        """Whether a request belongs to this task, by its shape."""
        ...

    def answer(self, attempt: Attempt) -> str:
        """The agent's answer, a pure function of the attempt."""
        ...


@dataclass(frozen=True)
class Attempt:
    """One case under one prompt.

    Args:
        strengths: By rule name, from `read_rules`.
        luck: Belongs to the case alone, so that a case's hard spots stay where they are
            whatever the prompt says, and paired comparisons make sense.
        astray: Whether this very call goes astray, by noise.
    """

    prompt: str
    text: str
    strengths: Mapping[str, float]
    luck: Chance
    astray: bool = False

    def follows(self, rule: str) -> bool:
        """Whether the agent keeps to the rule here; a contradicted rule holds by halves."""
        return self.luck.happens(self.strengths.get(rule, 0.0), "follows", rule)

    def slips(self, rule: str, share: float) -> bool:
        """Whether the habit that the rule mends shows, in a share of the cases."""
        if self.follows(rule):
            return False
        doubled = share * 2 if self.strengths.get(rule, 0.0) < 0 else share
        return self.luck.happens(doubled, "slips", rule)

    @property
    def misread(self) -> bool:
        """Whether the case goes wrong for reasons that no rule mends."""
        excess = max(0, len(self.prompt) - COMFORTABLE_PROMPT_CHARS)
        distraction = min(0.5, 0.05 + excess / 5_000) if excess else 0.0
        return self.astray or self.luck.happens(IRREDUCIBLE_ERROR + distraction, "misread")


def read_rules(landscape: Landscape, prompt: str) -> Mapping[str, float]:
    """How firmly a prompt states each rule of a landscape."""
    return _read_rules(landscape.rules, prompt)


@lru_cache(maxsize=512)
def _read_rules(rules: tuple[Rule, ...], prompt: str) -> Mapping[str, float]:
    return {rule.name: rule.strength(prompt) for rule in rules}


def same_letters(one: str, other: str) -> bool:
    """Equal but for case, underscores, white space and punctuation."""
    return _letters(one) == _letters(other)


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).lower()


def is_wordy(feedback: Feedback) -> bool:
    """The answer holds what was expected, in more words."""
    expected, output = feedback.expected.strip().lower(), feedback.output.strip().lower()
    holds = expected in output or expected.replace("_", " ") in output
    return holds and len(output.split()) > len(expected.replace("_", " ").split())


ONLY_SAID = (
    r"\bonly (?:with )?(?:the|one|a|that) (?:\w+ ){0,2}(?:label|number|answer|result|value|fields)",
    r"\b(?:label|number|answer|result|value|fields)s? (?:only|alone|itself)\b",
    r"\bjust the (?:\w+ )?(?:label|number|answer|result|value|fields)\b",
    r"\bnothing (?:else|more|but|besides)\b",
    r"\bno (?:other|extra|additional|further|surrounding) (?:text|words?|commentary)\b",
    r"\b(?:a )?single (?:word|number)\b",
    r"\bwithout (?:any )?(?:explanation|sentence|commentary|extra words|other words)\b",
    r"\b(?:no|avoid) (?:explanations?|full sentences?|commentary)\b",
)
ONLY_DENIED = (
    r"(?<!not )(?<!n't )\bexplain (?:your|the|why|how)\b",
    r"\b(?:answer|reply|respond) in (?:a )?(?:full|complete|friendly) sentences?\b",
)
ONLY_CONTRADICTIONS = (
    "Reply in full sentences and explain your reasoning to the reader.",
    "Always explain why you decided as you did.",
)


def answer_only(thing: str) -> Rule:
    """The rule that the reply is the bare label, number or whatever `thing` names."""
    return Rule(
        name="answer_only",
        said=ONLY_SAID,
        denied=ONLY_DENIED,
        contradictions=ONLY_CONTRADICTIONS,
        phrasings=(
            f"Answer with the {thing} only, no other words.",
            f"Reply with just the {thing} and nothing else.",
            f"Output only the {thing}, without any explanation.",
        ),
        symptom=is_wordy,
    )
