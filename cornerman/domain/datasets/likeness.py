"""When two cases are the same, and when they are as good as the same."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, cast

# Marks that change no meaning, unless they stand between digits: 3.5 is not 35. Signs of
# arithmetic stay: 3 - 2 is not 3 + 2.
_MARKS = re.compile(r"(?<!\d)[.,!?;:'\"`´()\[\]…“”„‘’«»]|[.,!?;:'\"`´()\[\]…“”„‘’«»](?!\d)")
_SPACES = re.compile(r"\s+")


def content_key(inputs: Any, expected: Any) -> str:
    """The same 16 hex digits for two cases of the same content, whatever their ids."""
    canonical = json.dumps([inputs, expected], sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode(errors="surrogatepass")).hexdigest()[:16]


def plain_text(value: Any) -> str:
    """A value's texts without what writers vary: case, width, spaces, punctuation."""
    if isinstance(value, str):
        folded = unicodedata.normalize("NFKC", value).casefold()
        # What is nothing but marks is told apart by them.
        words = _SPACES.sub(" ", _MARKS.sub(" ", folded)).strip()
        return words or _SPACES.sub(" ", folded).strip()
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        return "\x1f".join(f"{key}={plain_text(fields[key])}" for key in sorted(fields))
    if isinstance(value, (list, tuple)):
        return "\x1e".join(plain_text(one) for one in cast("list[Any]", value))
    return "" if value is None else json.dumps(value)
