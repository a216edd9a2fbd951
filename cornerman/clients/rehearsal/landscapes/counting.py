"""General task: count the things of one kind in a list ("How many fruits do I have?")."""

from __future__ import annotations

import re

from cornerman.clients.rehearsal.landscapes.shared_rules import answer_only
from cornerman.clients.rehearsal.rules import Attempt, Feedback, Rule

_QUESTION = re.compile(r"\bhow many ([\w ]{3,40}?) do (?:i|we) have\b", re.IGNORECASE)
_LIST = re.compile(r"\b(?:i|we) have (.{3,4000}?)[.?!]", re.IGNORECASE | re.DOTALL)
_ITEM = re.compile(r",\s*(?:and\s+)?|\s+and\s+")
NUMBER_WORDS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "half": 0.5, "twice": 2,
}  # fmt: skip
# What the agent knows of kinds; a kind that is not here takes everything in the list.
_KINDS: dict[str, str] = {
    "fruit": "apple banana orange plum peach grape nectarine pear cherry melon mango kiwi lemon "
    "strawberr blackberr raspberr blueberr apricot fig",
    "vegetable": "yam lettuce onion broccoli cauliflower potato cabbage carrot garlic celery bean "
    "pea spinach turnip leek tomato",
    "musical instrument": "trumpet accordion drum piano trombone flute clarinet violin guitar "
    "cello harp oboe saxophone viola tuba",
    "animal": "fish mouse mice pig duck snail donkey frog chicken goat rabbit cow snake bear cat "
    "dog horse sheep hen bird turtle",
}


def _has_distractor(feedback: Feedback) -> bool:
    kind, items = _read(feedback.text)
    return any(not _belongs(name, kind) for name, _ in items)


def _long_list(feedback: Feedback) -> bool:
    return len(_read(feedback.text)[1]) >= 7


RULES = (
    answer_only("number"),
    Rule(
        name="only_kind",
        said=(r"\b(?:only|just) (?:count )?(?:the )?(?:items|things|objects|those|what)\b",
              r"\b(?:belong\w*|fits?|match\w*) (?:to |into )?(?:the|that) (?:kind|group)\b",
              r"\b(?:leave out|exclude|skip|ignore) (?:items|things|whatever|everything)\b"),
        denied=(r"\bcount everything\b",),
        contradictions=("Count everything that is in the list.",),
        phrasings=("Count only the things of the kind that is asked for.",
                   "Leave out items of another kind.", "Skip whatever does not match the kind."),
        symptom=_has_distractor,
    ),
    Rule(
        name="one_by_one",
        said=(r"\bone (?:by one|at a time|after)\b", r"\bstep[- ]by[- ]step\b",
              r"\b(?:add|count|go through) (?:up )?(?:each|every)\b", r"\bcarefully\b"),
        phrasings=("Go through every item one by one.", "Add up each quantity step by step.",
                   "Count each entry, one after the other."),
        symptom=_long_list,
    ),
)  # fmt: skip


class Counting:
    """The task; see the module's docstring."""

    name = "counting"
    rules = RULES

    def fits(self, prompt: str, text: str) -> bool:
        return bool(_QUESTION.search(text) and _LIST.search(text))

    def answer(self, attempt: Attempt) -> str:
        kind, items = _read(attempt.text)
        picky = attempt.follows("only_kind")
        total = sum(count for name, count in items if not picky or _belongs(name, kind))
        if len(items) >= 7 and attempt.slips("one_by_one", 0.35):
            total -= 1
        total += attempt.luck.pick((-1, 1), "slip") if attempt.misread else 0
        return f"You have {total} {kind}." if attempt.slips("answer_only", 0.3) else str(total)


def _read(text: str) -> tuple[str, list[tuple[str, int]]]:
    """The kind asked for, and the items with their counts."""
    kind, listed = _QUESTION.search(text), _LIST.search(text)
    items = [_item(part) for part in _ITEM.split(listed[1])] if listed else []
    return (kind[1] if kind else "things"), [item for item in items if item[0]]


def _item(part: str) -> tuple[str, int]:
    head, _, rest = part.strip().partition(" ")
    if head.isdecimal():
        return rest, int(head[:9])
    return (rest, int(NUMBER_WORDS[head.lower()])) if head.lower() in NUMBER_WORDS else (part, 1)


def _belongs(name: str, kind: str) -> bool:
    for known, members in _KINDS.items():
        if kind.lower().startswith(known):
            return any(member in name.lower() for member in members.split())
    return True
