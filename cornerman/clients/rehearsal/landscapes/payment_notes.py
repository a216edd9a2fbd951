"""Reading dates and amounts in short notes about payments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
CODES = {"$": "USD", "€": "EUR", "£": "GBP"}
_WORDS = {
    "dollar": "USD", "euro": "EUR", "pound": "GBP", "usd": "USD", "eur": "EUR", "gbp": "GBP",
}  # fmt: skip

_DATE = re.compile(
    rf"(?P<iso>\b\d{{4}}-\d\d-\d\d\b)"
    rf"|(?P<day>\b\d{{1,2}}) (?P<month>{'|'.join(MONTHS)}) (?P<year>\d{{4}})",
    re.IGNORECASE,
)
_MONEY = re.compile(
    r"(?P<symbol>[$€£]) ?(?P<before>\d[\d,]*(?:\.\d+)?)"
    r"|(?P<after>\b\d[\d,]*(?:\.\d+)?) ?(?P<word>USD|EUR|GBP|dollars?|euros?|pounds?)\b",
    re.IGNORECASE,
)
_DUE = re.compile(r"\b(?:due|by|until|before|deadline|latest)\b[^.]{0,30}$", re.IGNORECASE)
_TOTAL = re.compile(
    r"\b(?:total|altogether|in all|in full|comes to|sum)\b[^.]{0,30}$", re.IGNORECASE
)


@dataclass(frozen=True)
class Found:
    """One date (`plain` is YYYY-MM-DD) or amount (`plain` has no separators)."""

    written: str
    plain: str
    currency: str = ""


@dataclass(frozen=True)
class Note:
    """What a note holds, in the order of the text. `due` and `total` are the ones that count."""

    dates: tuple[Found, ...]
    amounts: tuple[Found, ...]
    due: Found
    total: Found


@lru_cache(maxsize=4096)
def read_note(text: str) -> Note:
    """Read a note; with nothing found, `due` and `total` are empty."""
    dates = [(match, _found_date(match)) for match in _DATE.finditer(text)]
    amounts = [(match, _found_amount(match)) for match in _MONEY.finditer(text)]
    return Note(
        dates=tuple(found for _, found in dates),
        amounts=tuple(found for _, found in amounts),
        due=_cued(text, dates, _DUE),
        total=_cued(text, amounts, _TOTAL),
    )


def _cued(text: str, items: list[tuple[re.Match[str], Found]], cue: re.Pattern[str]) -> Found:
    for match, found in items:
        if cue.search(text[max(0, match.start() - 60) : match.start()]):
            return found
    return items[0][1] if items else Found("", "")


def _found_date(match: re.Match[str]) -> Found:
    if match["iso"]:
        return Found(match.group(), match.group())
    month = [name.lower() for name in MONTHS].index(match["month"].lower()) + 1
    return Found(match.group(), f"{match['year']}-{month:02d}-{int(match['day']):02d}")


def _found_amount(match: re.Match[str]) -> Found:
    plain = (match["before"] or match["after"]).replace(",", "")
    word = (match["word"] or "").lower()
    return Found(match.group(), plain, CODES.get(match["symbol"] or "") or _WORDS[word.rstrip("s")])
