"""Reading dates and amounts in short notes about payments.

Landscape `extraction`: the date to pay by and the amount of a payment note.

The right answer is `2025-03-14 1240.50 USD`; what a note lacks is `none`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from cornerman.rehearsal.rules import Attempt, Feedback, Rule, answer_only

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


_TASK_WORDS = re.compile(r"\b(?:extract|date|amount|sum|invoice)", re.IGNORECASE)
_OTHER_TASK_WORDS = re.compile(r"\b(?:label|classif|categor|triage|intent)", re.IGNORECASE)
_AMOUNT = re.compile(r"(?<![\d-])\d[\d,]*(?:\.\d+)?(?![\d-])")


def _written_date(feedback: Feedback) -> bool:
    pattern = rf"\b(?:{'|'.join(MONTHS)})\b"
    return re.search(pattern, feedback.output, re.IGNORECASE) is not None


def _rough_amount(feedback: Feedback) -> bool:
    wanted, got = _value(feedback.expected), _value(feedback.output)
    return wanted is not None and wanted[1] == (got or (0, 0.0))[1] and wanted != got


def _other_amount(feedback: Feedback) -> bool:
    wanted, got = _value(feedback.expected), _value(feedback.output)
    return wanted is not None and got is not None and wanted[1] != got[1]


def _value(text: str) -> tuple[str, float] | None:
    found = _AMOUNT.findall(re.sub(r"\d{4}-\d\d-\d\d|\d{1,2} [A-Z]\w+ \d{4}", "", text))
    return (found[0], float(found[0].replace(",", ""))) if found else None


def _other_date(feedback: Feedback) -> bool:
    dates = re.compile(r"\d{4}-\d\d-\d\d")
    wanted, got = dates.findall(feedback.expected), dates.findall(feedback.output)
    return bool(wanted and got and wanted[0] != got[0])


RULES = (
    answer_only("values"),
    Rule(
        name="iso_date",
        said=(r"\byyyy-mm-dd\b", r"\biso(?: 8601| format)?\b[^.]{0,30}\bdates?\b", r"\biso 8601\b",
              r"\byear-month-day\b"),
        denied=(r"\bdates? as (?:they are |it is )?written\b",),
        contradictions=("Copy the date as written in the note.",),
        phrasings=("Write dates as YYYY-MM-DD.", "Give the date in ISO 8601 form.",
                   "Dates go in the form year-month-day, as in YYYY-MM-DD."),
        symptom=_written_date,
    ),
    Rule(
        name="two_decimals",
        said=(r"\btwo (?:decimals?|decimal places|digits after)\b",
              r"\b(?:no|without|drop|remove) (?:the |any )?(?:thousands?|commas?)\b"),
        denied=(r"\bround (?:the )?amounts? to whole\b",),
        contradictions=("Round the amount to whole units.",),
        phrasings=("Write amounts with two decimals and without thousands separators.",
                   "Amounts have two decimal places and no commas.",
                   "Always give two decimals, and remove commas from numbers."),
        symptom=_rough_amount,
    ),
    Rule(
        name="currency_code",
        said=(r"\b(?:three|3)-letter\b", r"\biso 4217\b", r"\bcurrency codes?\b",
              r"\b(?:usd|eur|gbp)\b[^.]{0,40}\b(?:instead of|not|rather than)\b"),
        denied=(r"\bcurrency symbols? (?:in front|before)\b",),
        contradictions=("Put the currency symbol in front of the number.",),
        phrasings=("Name the currency by its three-letter code after the amount.",
                   "Use currency codes (USD, EUR, GBP), not symbols.",
                   "Write USD, EUR or GBP instead of a symbol."),
        symptom=lambda feedback: re.search("[$€£]", feedback.output) is not None,
    ),
    Rule(
        name="none_if_missing",
        said=(r"\bnone\b", ),
        denied=(r"\bleave (?:it|missing values) (?:out|empty|blank)\b",),
        contradictions=("If something is missing, leave it out.",),
        phrasings=("If a value is missing, write none in its place.",
                   "Write none for whatever the note does not say.",
                   "Missing date or missing sum: put none."),
        symptom=lambda feedback: "none" in feedback.expected and "none" not in feedback.output,
    ),
    Rule(
        name="total",
        said=(r"\b(?:totals?|overall|grand total|full amount|final amount)\b",),
        denied=(r"\bfirst amount\b",),
        contradictions=("Use the first amount that appears.",),
        phrasings=("If there are several amounts, take the total.",
                   "The amount wanted is the total, not one of its parts.",
                   "Use the full amount to be paid, not a deposit or a part."),
        symptom=_other_amount,
    ),
    Rule(
        name="due_date",
        said=(r"\bdue\b", r"\bpay(?:ment)?(?: is)? by\b", r"\bdeadline\b", r"\bpaid by\b"),
        denied=(r"\bfirst date\b",),
        contradictions=("Use the first date that appears.",),
        phrasings=("If there are several dates, take the one the payment is due.",
                   "The date wanted is the deadline, not the day the note was written.",
                   "Use the day it must be paid by."),
        symptom=_other_date,
    ),
)  # fmt: skip


class Extraction:
    """The landscape; see the module's docstring."""

    name = "extraction"
    rules = RULES

    def fits(self, prompt: str, text: str) -> bool:
        if _OTHER_TASK_WORDS.search(prompt) or not _TASK_WORDS.search(prompt):
            return False
        note = read_note(text)
        return bool(note.dates or note.amounts)

    def answer(self, attempt: Attempt) -> str:
        note = read_note(attempt.text)
        date, amount = _date(note, attempt), _amount(note, attempt)
        if attempt.slips("answer_only", 0.18):
            return f"Date: {date}, amount: {amount}"
        return f"{date} {amount}".strip()


def _missing(attempt: Attempt) -> str:
    return "none" if attempt.follows("none_if_missing") else "unknown"


def _date(note: Note, attempt: Attempt) -> str:
    if not note.dates:
        return _missing(attempt)
    chosen = note.due if attempt.follows("due_date") else note.dates[0]
    if attempt.misread:
        return f"{chosen.plain[:8]}{int(chosen.plain[8:]) % 28 + 1:02d}"
    return chosen.plain if attempt.follows("iso_date") else chosen.written


def _amount(note: Note, attempt: Attempt) -> str:
    if not note.amounts:
        return _missing(attempt)
    chosen = note.total if attempt.follows("total") else note.amounts[0]
    number = f"{float(chosen.plain):.2f}" if attempt.follows("two_decimals") else _number(chosen)
    code = chosen.currency
    has_symbol = any(symbol in chosen.written for symbol in CODES)
    if has_symbol and not attempt.follows("currency_code"):
        symbol = next(symbol for symbol in CODES if symbol in chosen.written)
        return f"{symbol}{number}"
    return f"{number} {code}"


def _number(chosen: Found) -> str:
    match = _AMOUNT.search(chosen.written)
    return match.group() if match else chosen.plain
