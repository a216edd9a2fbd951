"""Patterns that users write, matched in a time that grows with the text alone.

Python's own engine tries `(a+)+$` on thirty letters for hours, and holds the whole process while
it does. RE2 never goes back. What Python's patterns mean is kept where RE2 has a word for it:
`\\d`, `\\w` and `\\s` are of all scripts, `$` also stands before a last line end.
"""

from __future__ import annotations

import importlib
import re
from functools import lru_cache
from typing import Any

_OTHER_CONNECTORS = r"\x{203F}\x{2040}\x{2054}\x{FE33}\x{FE34}\x{FE4D}-\x{FE4F}\x{FF3F}"
_SPACE = r"\t-\r\x1c-\x20\x{85}\p{Z}"
# What each class stands for between brackets; RE2's own are of ASCII alone.
_CLASSES = {
    "d": r"\p{Nd}",
    "D": r"\P{Nd}",
    "w": r"\p{L}\p{N}_",
    "W": r"\p{M}\p{Pd}\p{Ps}\p{Pe}\p{Pi}\p{Pf}\p{Po}\p{S}\p{Z}\p{C}" + _OTHER_CONNECTORS,
    "s": _SPACE,
    "S": r"\p{L}\p{M}\p{N}\p{P}\p{S}\x00-\x08\x0e-\x1b\x7f-\x{84}\x{86}-\x{9f}\p{Cf}\p{Co}",
}
_LONE = {
    "w": f"[{_CLASSES['w']}]",
    "W": f"[^{_CLASSES['w']}]",
    "s": f"[{_SPACE}]",
    "S": f"[^{_SPACE}]",
    "Z": r"\z",
}
_TOKEN = re.compile(
    r"\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\.|\[\^?\]?|\]|\{,(?=[0-9]+\})|\$|.", re.DOTALL
)
_HALF = re.compile("[\ud800-\udfff]")
_MULTILINE = re.compile(r"\(\?[a-z]*m")
_MISSING = (
    (re.compile(r"\(\?<?[=!]"), "look-around"),
    (re.compile(r"sequence: \\[1-9]|\(\?P$"), "references back to a group"),
    (re.compile(r"\(\?>|operator: [*+?}]\+"), "possessive repetition"),
    (re.compile(r"\(\?\("), "conditions"),
    (re.compile(r"repetition size"), "repetitions of more than 1,000"),
    (re.compile(r"\(\?[a-zA-Z]*[aLux]"), "the flags a, L, u and x"),
)


class PatternError(ValueError):
    """A text that is no pattern here; says why."""


class Pattern:
    """A compiled pattern. Made by `compile_pattern`."""

    def __init__(self, text: str, engine: Any) -> None:
        self.text = text
        self._engine = engine

    @property
    def groups(self) -> int:
        """How many groups it has."""
        return int(self._engine.groups)

    def search(self, text: str) -> tuple[str | None, ...] | None:
        """Find it anywhere: the whole match and each group's text; None where it is not."""
        return _texts(self._engine.search(_encodable(text)))

    def fullmatch(self, text: str) -> tuple[str | None, ...] | None:
        """As `search`, but all of the text must match."""
        return _texts(self._engine.fullmatch(_encodable(text)))


@lru_cache(maxsize=512)
def compile_pattern(text: str, *, ignore_case: bool = False, full: bool = False) -> Pattern:
    """Compile a user's pattern.

    Args:
        full: It is for `fullmatch`, where `$` leaves no line end over.

    Raises:
        PatternError: It is not a regular expression, or has what RE2 lacks; says which.
    """
    engine: Any = importlib.import_module("re2")
    options = engine.Options()
    options.log_errors = False
    options.case_sensitive = not ignore_case
    try:
        return Pattern(text, engine.compile(_translated(text, full), options))
    except engine.error as error:
        raise PatternError(_reason(error)) from None


def _translated(text: str, full: bool) -> str:
    """Put a pattern of Python's into RE2's words."""
    end = "$" if full or _MULTILINE.search(text) else r"(?:\n?\z)"
    parts = list[str]()
    in_class = False
    for piece in _TOKEN.findall(_encodable(text)):
        if piece[0] == "\\" and len(piece) > 1:
            parts.append(_escape(piece, in_class))
        elif in_class:
            in_class = piece != "]"
            parts.append(piece.replace("[", r"\["))
        elif piece[0] == "[":
            in_class = True
            parts.append(piece)
        else:
            parts.append(end if piece == "$" else "{0," if piece == "{," else piece)
    return "".join(parts)


def _escape(piece: str, in_class: bool) -> str:
    letter = piece[1]
    if letter in "uU" and len(piece) > 2:
        return rf"\x{{{piece[2:]}}}"
    if in_class and letter == "b":
        return r"\x08"
    if letter > "\x7f":
        return letter
    known = _CLASSES if in_class else _CLASSES | _LONE
    return known.get(letter, piece)


def _reason(error: Exception) -> str:
    given = error.args[0] if error.args else ""
    said = given.decode(errors="replace") if isinstance(given, bytes) else str(given)
    for pattern, name in _MISSING:
        if pattern.search(said):
            return (
                f"{said} ({name}: RE2, which matches patterns here in a time that grows with the "
                "text alone, has none; an evaluator of your own may use Python's re)"
            )
    return said


def _encodable(text: str) -> str:
    return _HALF.sub("\ufffd", text)


def _texts(match: Any) -> tuple[str | None, ...] | None:
    return None if match is None else (match.group(0), *match.groups())
