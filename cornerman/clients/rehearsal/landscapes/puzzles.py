"""General tasks with a rule of their own: truth values, sorting words, multiple choice."""

from __future__ import annotations

import re

from cornerman.clients.rehearsal.landscapes.shared_rules import answer_only
from cornerman.clients.rehearsal.rules import Attempt, Rule

_BOOLEAN = re.compile(
    r"^[\s()]*(?:(?:true|false|and|or|not)[\s()]*){2,400}(?:is)?\s*[?=]?\s*$", re.I
)
_TOKEN = re.compile(r"true|false|and|or|not|[()]", re.IGNORECASE)
_SORT = re.compile(r"\bsort the following words\b[^:]*:?\s*(?:list:)?\s*(.{1,4000})", re.I | re.S)
_OPTION = re.compile(r"^\(([A-Z])\)", re.MULTILINE)

CAREFUL = Rule(
    name="careful",
    said=(r"\bstep[- ]by[- ]step\b", r"\bcarefully\b", r"\bone (?:by one|at a time)\b",
          r"\b(?:inside|innermost|letter by letter|in order of)\b"),
    phrasings=("Work it out step by step before you answer.", "Go carefully, one at a time."),
    symptom=lambda feedback: feedback.expected.strip() != feedback.output.strip(),
)  # fmt: skip


class BooleanExpressions:
    """`not True or ( False )` is True or False."""

    name = "boolean"
    rules = (answer_only("answer"), CAREFUL)

    def fits(self, prompt: str, text: str) -> bool:
        # Brackets are read by recursion, so their number is bounded.
        small = len(text) < 2_000 and text.count("(") < 60
        return small and _BOOLEAN.match(text) is not None

    def answer(self, attempt: Attempt) -> str:
        value = _evaluate([token.lower() for token in _TOKEN.findall(attempt.text)])
        if attempt.misread or attempt.slips("careful", 0.25):
            value = not value
        return f"The result is {value}." if attempt.slips("answer_only", 0.3) else str(value)


def _evaluate(tokens: list[str]) -> bool:
    """Evaluate by Python's precedence: not before and before or."""
    value = _conjunction(tokens)
    while tokens and tokens[0] == "or":
        tokens.pop(0)
        right = _conjunction(tokens)
        value = value or right
    return value


def _conjunction(tokens: list[str]) -> bool:
    value = _factor(tokens)
    while tokens and tokens[0] == "and":
        tokens.pop(0)
        right = _factor(tokens)
        value = value and right
    return value


def _factor(tokens: list[str]) -> bool:
    # A run of "not" is counted rather than recursed into: it may be hundreds long.
    flips = 0
    while tokens and tokens[0] == "not":
        tokens.pop(0)
        flips += 1
    head = tokens.pop(0) if tokens else "false"
    value = head == "true"
    if head == "(":
        value = _evaluate(tokens)
        if tokens and tokens[0] == ")":
            tokens.pop(0)
    return value != bool(flips % 2)


class WordSorting:
    """Sort the following words alphabetically."""

    name = "sorting"
    rules = (answer_only("result"), CAREFUL)

    def fits(self, prompt: str, text: str) -> bool:
        return _SORT.search(text) is not None

    def answer(self, attempt: Attempt) -> str:
        found = _SORT.search(attempt.text)
        words = sorted((found[1] if found else "").replace(",", " ").split())
        if len(words) > 2 and (attempt.misread or attempt.slips("careful", 0.45)):
            words[1], words[2] = words[2], words[1]
        line = " ".join(words)
        return f"Sorted: {line}" if attempt.slips("answer_only", 0.3) else line


class MultipleChoice:
    """One of the options (A), (B), …; the agent guesses, as it cannot reason."""

    name = "choice"
    rules = (answer_only("answer"), CAREFUL)

    def fits(self, prompt: str, text: str) -> bool:
        return len(_OPTION.findall(text)) >= 2

    def answer(self, attempt: Attempt) -> str:
        options = _OPTION.findall(attempt.text)
        choice = f"({attempt.luck.pick(options, 'guess')})"
        return f"The answer is {choice}." if attempt.slips("answer_only", 0.3) else choice
