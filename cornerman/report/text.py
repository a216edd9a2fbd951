"""Text from models and datasets, made fit for a page: cut, visible, harmless in any direction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

MAX_CHARS = 20_000


def _visible_table() -> dict[int, str]:
    table = {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\t\n"}
    table |= {0x7F: "\u2421", 0x2028: "\n", 0x2029: "\n", 0xFFFE: "\ufffd", 0xFFFF: "\ufffd"}
    table |= dict.fromkeys([*range(0x80, 0xA0), *range(0xD800, 0xE000)], "\ufffd")
    # Direction overrides make text read as what it is not; a name in their place cannot.
    overrides = [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]
    return table | {code: f"\u2039U+{code:04X}\u203a" for code in overrides}


_VISIBLE = _visible_table()


def visible(text: str) -> str:
    """Show control characters, terminal codes and direction overrides instead of obeying them."""
    return text.replace("\r\n", "\n").translate(_VISIBLE)


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
