"""Landscape `stock`: keep a stock book and answer with the closing figure."""

from __future__ import annotations

import re

from cornerman.clients.rehearsal.landscapes.shared_rules import answer_only
from cornerman.clients.rehearsal.landscapes.stock_book import Book, as_number, read_book
from cornerman.clients.rehearsal.rules import Attempt, Feedback, Rule


def _mentions(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_RETURNS = _mentions(r"\breturn")
_RESERVED = _mentions(r"\b(?:reserv|set aside|held back)")
_UNITS = _mentions(r"\bdozens?\b|\b\d+ (?:g|ml)\b")


def _long(feedback: Feedback) -> bool:
    return len(read_book(feedback.text).moves) > 3


def _unrounded(feedback: Feedback) -> bool:
    return re.search(r"\.\d\d", feedback.output) is not None


def _below_zero(feedback: Feedback) -> bool:
    return feedback.expected.strip().startswith("-") and "-" not in feedback.output


RULES = (
    answer_only("number"),
    Rule(
        name="units",
        said=(r"\bconvert\b", r"\bdozens? (?:is|are|means?|equals?|=|as|counts? as) (?:12|twelve)",
              r"\b(?:same|one|common) unit\b"),
        denied=(r"\bignore (?:the )?units\b",),
        contradictions=("Ignore the units, the figures matter.",),
        phrasings=("Convert everything to the unit of the opening stock first; a dozen is 12.",
                   "Bring all figures to one unit (a dozen means 12, 1000 g are 1 kg).",
                   "Convert dozens, grams and millilitres before you add."),
        symptom=lambda feedback: _UNITS.search(feedback.text) is not None,
    ),
    Rule(
        name="rounding",
        said=(r"\bround(?:ed|ing)?\b", r"\bone decimal\b"),
        denied=(r"\bas many (?:digits|decimals)\b",),
        contradictions=("Give as many decimals as you can.",),
        phrasings=("Round to one decimal.",
                   "Results that are not whole get rounded to one decimal.",
                   "Give at most one decimal, rounded."),
        symptom=_unrounded,
    ),
    Rule(
        name="step_by_step",
        said=(r"\bstep[- ]by[- ]step\b",
              r"\bone (?:move|movement|entry|line|step) (?:at a time|after)",
              r"\bevery (?:move|movement|entry|line)\b"),
        denied=(r"\bquick (?:guess|estimate)\b",),
        contradictions=("A quick estimate is enough.",),
        phrasings=("Work through every movement in turn before you settle on the result.",
                   "Calculate step by step in your head.",
                   "Take one entry at a time, to the last."),
        symptom=_long,
    ),
    Rule(
        name="negative",
        said=(r"\bnegative\b", r"(?<!never )\b(?:below|under|less than) zero\b", r"\bminus sign\b"),
        denied=(r"\bnever below zero\b",),
        contradictions=("Stock is never below zero.",),
        phrasings=("Negative results are possible: keep the minus sign.",
                   "If more went out than there was, give the figure below zero.",
                   "Write a negative number where the book shows a shortage."),
        symptom=_below_zero,
    ),
    Rule(
        name="returns",
        said=(r"\breturn(?:s|ed)?\b",),
        phrasings=("Goods that customers returned are added again.",
                   "Returns count as stock coming in.", "Add what was returned."),
        symptom=lambda feedback: _RETURNS.search(feedback.text) is not None,
    ),
    Rule(
        name="reserved",
        said=(r"\breserv(?:ed|ations?)\b", r"\bset aside\b"),
        phrasings=("Reserved goods are still in stock, do not subtract them.",
                   "Goods that are only set aside stay in the count.",
                   "A reserved item has not left the house yet."),
        symptom=lambda feedback: _RESERVED.search(feedback.text) is not None,
    ),
)  # fmt: skip


class Stock:
    """The landscape; see the module's docstring."""

    name = "stock"
    rules = RULES

    def fits(self, prompt: str, text: str) -> bool:
        return read_book(text).is_book

    def answer(self, attempt: Attempt) -> str:
        book = read_book(attempt.text)
        number = _shown(_closing(book, attempt), attempt)
        if attempt.slips("answer_only", 0.20):
            return f"The book closes with {number} {book.unit}.".replace(" .", ".")
        return number


def _closing(book: Book, attempt: Attempt) -> float:
    moves = book.moves
    if len(moves) > 3 and not attempt.follows("step_by_step"):
        moves = moves[:-1]
    converts = attempt.follows("units")
    level = book.opening
    for move in moves:
        amount = move.converted if converts else move.written
        level += amount * _sign(move.kind, attempt)
    level /= book.shelves
    return level + attempt.luck.pick((1, 2, 10), "slip") if attempt.misread else level


def _sign(kind: str, attempt: Attempt) -> int:
    if kind == "returned":
        return 1 if attempt.follows("returns") else -1
    if kind == "reserved":
        return 0 if attempt.follows("reserved") else -1
    return 1 if kind == "in" else -1


def _shown(level: float, attempt: Attempt) -> str:
    if level < 0 and not attempt.follows("negative"):
        return "0"
    return as_number(level, 1) if attempt.follows("rounding") else as_number(level, 4)
