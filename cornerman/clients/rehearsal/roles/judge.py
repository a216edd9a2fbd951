"""The judge's role: how much of the expected answer an output holds."""

from __future__ import annotations

import json
import re
from typing import Any, cast

from cornerman.clients.rehearsal.request import ChatRequest

_PART = re.compile(
    r"(?:^|\n)\W{0,8}(?P<name>expected|reference|correct|output|answer|response|candidate)\b"
    r"[\w ]{0,24}?(?:>|:)\s*(?P<body>.*?)"
    r"(?=\n\W{0,8}(?:input|expected|reference|correct|output|answer|response"
    r"|candidate|rubric|question)\b[\w ]{0,24}?(?:>|:)|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_WORD = re.compile(r"\w+")
_NAMES = ("expected", "output")
_EXPECTING = ("expected", "reference", "correct")


def _json_parts(text: str) -> dict[str, str]:
    """Expected and output of a JSON object with fields of those names, in any case."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    fields = cast("dict[str, Any]", found)
    return {name.lower(): str(value) for name, value in fields.items() if name.lower() in _NAMES}


def judgement(request: ChatRequest, server_seed: int) -> dict[str, Any]:
    """A score in 0..1 with a reason."""
    parts = _json_parts(request.last_user)
    for match in () if parts else _PART.finditer(request.last_user[:12_000]):
        name = "expected" if match["name"].lower() in _EXPECTING else "output"
        parts.setdefault(name, match["body"])
    if len(parts) < 2:
        score = round(0.3 + 0.6 * request.chance(server_seed).draw("judge"), 2)
        return {"score": score, "reason": "Simulated judgement: no expected answer was given."}
    expected, output = (set(_WORD.findall(parts[name].lower())) for name in ("expected", "output"))
    score = round(len(expected & output) / max(1, len(expected)), 2)
    return {"score": score, "reason": f"Simulated judgement: {score:.0%} of the expected words."}
