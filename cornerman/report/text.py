"""How the page writes numbers, money and time.

Text from models and datasets, made fit for a page: cut, visible, harmless in any direction.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from cornerman.domain.texts import visible

NONE = "–"
MINUS = "\u2212"


def finite(value: float | None) -> float | None:
    """Return the value, or None when there is none or it is not a finite number."""
    return value if value is not None and math.isfinite(value) else None


def score(value: float | None, digits: int = 3) -> str:
    """Write a training score, 0..1."""
    number = finite(value)
    return NONE if number is None else _minus(f"{number:.{digits}f}")


def points(value: float | None) -> str:
    """Write a battle score, 0..100, or a rating: whole, or with one digit when it has one."""
    number = finite(value)
    return NONE if number is None else _minus(f"{number:.1f}".removesuffix(".0"))


def signed(value: float | None) -> str:
    """Write a difference of training scores with its sign."""
    number = finite(value)
    return NONE if number is None else _minus(f"{number:+.3f}")


def usd(value: float | None) -> str:
    """Write USD with as many digits as its size deserves."""
    number = finite(value)
    if number is None:
        return NONE
    if number <= 0 or number >= 1:
        return f"${number:,.2f}"
    if number >= 0.01:
        return f"${number:.4f}".removesuffix("00")
    return f"${number:.6f}".removesuffix("00") if number >= 1e-6 else "under $0.000001"


def usd_column(value: float, digits: int) -> str:
    """Write USD with the digits that its column has."""
    return f"${value:,.{digits}f}"


def column_digits(values: Iterable[float]) -> int:
    """Return the decimals that show the smallest amount of a column of USD."""
    smallest = min((value for value in values if value > 0), default=1.0)
    return 2 if smallest >= 1 else 4 if smallest >= 0.001 else 6


def count(value: int | None) -> str:
    """Write a whole number with thousands marked."""
    return NONE if value is None else f"{value:,}"


def price(value: float | None) -> str:
    """Write an agreed price, which has no currency of ours."""
    number = finite(value)
    return NONE if number is None else f"{number:,.2f}".removesuffix(".00")


def plural(number: int, noun: str) -> str:
    """Write `1 case`, `2 cases`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def parse_time(text: str) -> datetime | None:
    """Read ISO 8601; a time without a zone is UTC; None when it is not one."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def when(text: str) -> str:
    """Write a point in time for people; text that is not ISO 8601 stays as it is."""
    moment = parse_time(text)
    return text if moment is None else f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def took(started_at: str, finished_at: str) -> str:
    """Write how long something took; empty when it cannot be known."""
    start, end = parse_time(started_at), parse_time(finished_at)
    if start is None or end is None or end < start:
        return ""
    return seconds((end - start).total_seconds())


def seconds(value: float) -> str:
    """Write a duration: `4.2 s`, `3 min 05 s`, `2 h 10 min`."""
    if value < 60:
        return f"{value:.1f}\u00a0s" if value < 10 else f"{value:.0f}\u00a0s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes}\u00a0min {rest:02d}\u00a0s"
    return f"{minutes // 60}\u00a0h {minutes % 60:02d}\u00a0min"


def _minus(text: str) -> str:
    if not text.strip("-+0."):
        text = text.replace("-", "")
    return text.replace("-", MINUS)


MAX_CHARS = 20_000


def finalize(value: object) -> object:
    """Make any value that a template prints safe to look at; escaping is done after it."""
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(cut(value).text)
    return value


@dataclass(frozen=True)
class ShownText:
    """A text as the page shows it; `note` says how much is missing, when something is."""

    text: str
    note: str = ""
    label: str = ""


def cut(text: str, limit: int = MAX_CHARS) -> ShownText:
    """Keep the first `limit` characters."""
    if len(text) <= limit:
        return ShownText(text)
    return ShownText(text[:limit], f"Cut here: {limit:,} of {len(text):,} characters shown.")


def as_text(value: Any) -> str:
    """Write a case's value: text as it is, anything else as indented JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def show_value(value: Any) -> list[ShownText]:
    """Show a value; a mapping becomes one labelled text per key, None becomes nothing.

    All texts of one value share the limit, so that no number of keys can swell the page.
    """
    if value is None:
        return []
    if not isinstance(value, Mapping):
        return [cut(as_text(value))]
    shown: list[ShownText] = []
    left = MAX_CHARS
    entries: Mapping[Any, Any] = value
    for position, (key, entry) in enumerate(entries.items()):
        if left <= 0:
            shown.append(ShownText("", f"{len(entries) - position:,} more fields not shown."))
            break
        part = cut(as_text(entry), left)
        shown.append(ShownText(part.text, part.note, cut(str(key), 200).text))
        left -= len(part.text) + len(shown[-1].label)
    return shown
