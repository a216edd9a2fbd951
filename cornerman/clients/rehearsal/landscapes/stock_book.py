"""Reading a stock book: an opening figure, movements, and how the rest is shared out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

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
