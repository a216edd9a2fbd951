"""Text of models and strangers, for whoever only looks at it: pages and terminals alike."""

from __future__ import annotations


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
