"""General task: choose among the labels that the prompt lists, by the words they share."""

from __future__ import annotations

import re
from functools import lru_cache

from cornerman.clients.rehearsal.landscapes.shared_rules import answer_only
from cornerman.clients.rehearsal.landscapes.triage_reading import LABELS as TRIAGE_LABELS
from cornerman.clients.rehearsal.rules import Attempt, Rule, same_letters

_SNAKE = re.compile(r"\b[A-Za-z]+(?:_[A-Za-z]+)+\b\??")
_LISTED = re.compile(
    r"\b(?:labels?|intents?|categories|classes|topics|options|one of)\b[^:\n]{0,60}:"
    r"\s*([^.]{5,6000})",
    re.IGNORECASE,
)
_WORD = re.compile(r"[a-z]{3,}")
_FEWEST = 3


@lru_cache(maxsize=256)
def labels_in(prompt: str) -> tuple[str, ...]:
    """The labels that a prompt lists, each once; fewer than three are a list only if named one."""
    found = list(_SNAKE.findall(prompt))
    fewest = 1 if found and _LISTED.search(prompt) else _FEWEST
    for match in _LISTED.finditer(prompt):
        parts = [part.strip(" -*\"'`") for part in re.split(r"[,;|\n]|\bor\b", match[1])]
        found += [part for part in parts if part and len(part.split()) <= 4]
    unique = tuple(dict.fromkeys(found))
    return unique if len(unique) >= fewest else ()


RULES = (
    answer_only("label"),
    Rule(
        name="spelling",
        said=(r"\bunderscores?\b",
              r"\bexactly as (?:it is |they are )?(?:written|listed|spelled|given)",
              r"\bverbatim\b", r"\blower[- ]?case\b"),
        phrasings=("Write the label exactly as listed, underscores included.",
                   "Keep the label's lowercase spelling and its underscores."),
        symptom=lambda feedback: feedback.expected.strip() != feedback.output.strip()
        and same_letters(feedback.expected, feedback.output),
    ),
)  # fmt: skip


class Intents:
    """The task; see the module's docstring."""

    name = "intents"
    rules = RULES

    def fits(self, prompt: str, text: str) -> bool:
        labels = labels_in(prompt)
        return bool(labels) and len(set(TRIAGE_LABELS) & set(labels)) < 4

    def answer(self, attempt: Attempt) -> str:
        labels = labels_in(attempt.prompt)
        label = _closest(attempt.text, labels) or attempt.luck.pick(labels, "guess")
        if attempt.misread:
            label = attempt.luck.pick(labels, "wrong label")
        if attempt.slips("answer_only", 0.2):
            return f"The intent is {label}."
        if attempt.slips("spelling", 0.2):
            return label.replace("_", " ").capitalize()
        return label


def _closest(text: str, labels: tuple[str, ...]) -> str | None:
    """The label with the rarest words in common with the text, None without any."""
    rarity = _rarity(labels)
    said = {word[:5] for word in _WORD.findall(text.lower())}
    best, best_score = None, 0.0
    for label in labels:
        stems = _stems(label)
        shared = sum(rarity[stem] for stem in stems if stem in said)
        score = shared / (1 + 0.3 * len(stems))
        if score > best_score:
            best, best_score = label, score
    return best


@lru_cache(maxsize=1024)
def _stems(label: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word[:5] for word in _WORD.findall(label.lower())))


@lru_cache(maxsize=256)
def _rarity(labels: tuple[str, ...]) -> dict[str, float]:
    counts: dict[str, int] = {}
    for label in labels:
        for stem in _stems(label):
            counts[stem] = counts.get(stem, 0) + 1
    return {stem: 1.0 / count**0.5 for stem, count in counts.items()}
