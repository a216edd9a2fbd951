"""Reading a stock book: an opening figure, movements, and how the rest is shared out.

Landscape `stock`: keep a stock book and answer with the closing figure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from cornerman.rehearsal.rules import Attempt, Feedback, Rule, answer_only

_OPENING = re.compile(
    r"\b(?:opening stock(?: of [\w ]{1,20})?|start(?:ed|s|ing)? (?:the \w+ )?with|opened with)\W*"
    r"(\d+(?:\.\d+)?)(?: ?(kg|l|pieces)\b)?",
    re.IGNORECASE,
)
_MOVE = re.compile(
    r"\b(?P<verb>sold|used|gave away|threw away|lost|received|bought|delivered|made"
    r"|(?:customers? )?returned|reserved|set aside|held back)\b\D{0,20}"
    r"(?P<number>\d+(?:\.\d+)?) ?(?P<unit>kg|g|ml|l|dozens?|pieces)?\b",
    re.IGNORECASE,
)
_SHELVES = re.compile(r"\b(?:split|shared|spread) (?:evenly )?over (\d+)", re.IGNORECASE)
_KINDS = {"received": "in", "bought": "in", "delivered": "in", "made": "in", "reserved": "reserved",
          "set aside": "reserved", "held back": "reserved"}  # fmt: skip
_FACTORS = {"g": 0.001, "ml": 0.001, "dozen": 12.0, "dozens": 12.0}


@dataclass(frozen=True)
class Move:
    """One movement: kind in, out, returned or reserved; figures without and with conversion."""

    kind: str
    written: float
    converted: float


@dataclass(frozen=True)
class Book:
    """A stock book; `shelves` is 1 unless the rest is shared out."""

    is_book: bool
    opening: float
    unit: str
    moves: tuple[Move, ...]
    shelves: int


@lru_cache(maxsize=4096)
def read_book(text: str) -> Book:
    """Read a stock book; `is_book` says whether the text is one."""
    opening = _OPENING.search(text)
    moves = tuple(_move(match) for match in _MOVE.finditer(text))
    shelves = _SHELVES.search(text)
    return Book(
        is_book=opening is not None and bool(moves),
        opening=float(opening[1]) if opening else 0.0,
        unit=(opening[2] or "") if opening else "",
        moves=moves,
        shelves=max(1, int(shelves[1])) if shelves else 1,
    )


def _move(match: re.Match[str]) -> Move:
    verb, number = match["verb"].lower(), float(match["number"])
    kind = "returned" if "returned" in verb else _KINDS.get(verb, "out")
    return Move(kind, number, number * _FACTORS.get((match["unit"] or "").lower(), 1.0))


def as_number(value: float, decimals: int) -> str:
    """A number without needless zeros: 31, 31.5, -2."""
    # Halves go up, as people round; binary fractions alone would send some down.
    text = f"{value + 1e-9:.{decimals}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


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
