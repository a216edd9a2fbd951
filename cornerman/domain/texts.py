"""Texts as people see them: what a stranger wrote made visible, and two compared by word."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

DiffOp = Literal["equal", "delete", "insert"]

_TOKEN = re.compile(r"\w+(?:['’]\w+)*|\s+|[^\w\s]")
# Word matching costs up to the product of both lengths; past this a block is shown as replaced.
_MAX_TOKEN_PAIRS = 4_000_000


@dataclass(frozen=True)
class DiffPart:
    """A stretch of text and whether both texts have it, only the old, or only the new one."""

    op: DiffOp
    text: str


def prompt_diff(before: str, after: str) -> list[DiffPart]:
    """Compare two prompts word by word.

    Lines are matched first and words only within changed lines, so that a long prompt stays
    quick and a moved line is not smeared over its neighbours.

    Args:
        before: The old text.
        after: The new text.

    Returns:
        Parts in reading order, neighbours never of the same kind, a deletion before the
        insertion that replaces it. All but the insertions spell `before`, all but the deletions
        spell `after`. Empty when both texts are empty.
    """
    old_lines, new_lines = before.splitlines(keepends=True), after.splitlines(keepends=True)
    parts: list[DiffPart] = []
    for op, old, new in _matched(old_lines, new_lines):
        if op == "replace":
            parts.extend(_word_parts(old, new))
        else:
            parts.extend(_whole(op, old, new))
    return _tidy(parts)


def _word_parts(before: str, after: str) -> Iterator[DiffPart]:
    old, new = _TOKEN.findall(before), _TOKEN.findall(after)
    if len(old) * len(new) > _MAX_TOKEN_PAIRS:
        yield from _whole("replace", before, after)
        return
    for op, old_text, new_text in _matched(old, new):
        yield from _whole(op, old_text, new_text)


def _matched(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    # Junk detection would drop frequent words, which are exactly those that change here.
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for op, i1, i2, j1, j2 in matcher.get_opcodes():
        yield op, "".join(old[i1:i2]), "".join(new[j1:j2])


def _whole(op: str, old: str, new: str) -> Iterator[DiffPart]:
    if op == "equal":
        yield DiffPart("equal", old)
        return
    if old:
        yield DiffPart("delete", old)
    if new:
        yield DiffPart("insert", new)


def _tidy(parts: Sequence[DiffPart]) -> list[DiffPart]:
    """Join neighbours, then changes around a blank, then around words that match by chance."""
    return _joined(_joined(parts, _is_blank), _is_chance)


def _joined(
    parts: Sequence[DiffPart], is_bridge: Callable[[str, int, int], bool]
) -> list[DiffPart]:
    """Give up equal text between two changes where `is_bridge(text, size left, size right)`."""
    joined: list[DiffPart] = []
    deleted = inserted = ""
    for position, part in enumerate(parts):
        left, right = max(len(deleted), len(inserted)), _change_after(parts, position)
        if part.op == "equal" and not (left and right and is_bridge(part.text, left, right)):
            joined.extend(_whole("replace", deleted, inserted))
            deleted = inserted = ""
            if joined and joined[-1].op == "equal":
                joined[-1] = DiffPart("equal", joined[-1].text + part.text)
            else:
                joined.append(part)
            continue
        deleted += part.text if part.op != "insert" else ""
        inserted += part.text if part.op != "delete" else ""
    return [*joined, *_whole("replace", deleted, inserted)]


def _change_after(parts: Sequence[DiffPart], position: int) -> int:
    size = 0
    for part in parts[position + 1 : position + 3]:
        if part.op == "equal":
            break
        size = max(size, len(part.text))
    return size


def _is_blank(text: str, _left: int, _right: int) -> bool:
    # Line ends are never given up, so that the shape of a prompt stays visible.
    return text.isspace() and "\n" not in text


def _is_chance(text: str, left: int, right: int) -> bool:
    # The rule of semantic clean-up in Neil Fraser's Diff Match Patch.
    return "\n" not in text and len(text) <= min(left, right)


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


def counted(number: int, noun: str) -> str:
    """A number of things in words: `1 case`, `12 cases`."""
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"
