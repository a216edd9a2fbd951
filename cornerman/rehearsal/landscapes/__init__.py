"""The rehearsal agent's tasks, and which one a request belongs to."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from cornerman.rehearsal.landscapes.extraction import Extraction
from cornerman.rehearsal.landscapes.general import (
    BooleanExpressions,
    Counting,
    Intents,
    MultipleChoice,
    WordProblems,
    WordSorting,
)
from cornerman.rehearsal.landscapes.stock import Stock
from cornerman.rehearsal.landscapes.triage import Triage
from cornerman.rehearsal.rules import Landscape

# In order of how surely a text's shape tells the task.
LANDSCAPES: tuple[Landscape, ...] = (
    Counting(),
    BooleanExpressions(),
    WordSorting(),
    MultipleChoice(),
    Stock(),
    Intents(),
    Extraction(),
    Triage(),
    WordProblems(),
)
INTENTS = next(landscape for landscape in LANDSCAPES if landscape.name == "intents")

_FIELD = re.compile(
    r"^\s*(?:message|text|question|input|note|customer|query)\s*:\s*", re.IGNORECASE
)
_TAG = re.compile(r"</?(?:message|text|question|input|note|customer|query)>")


def find_landscape(prompt: str, text: str) -> Landscape | None:
    """The task of a request, None when it resembles none of them."""
    return next((task for task in LANDSCAPES if task.fits(prompt, text)), None)


def text_of_input(content: str) -> str:
    """The case's own text in a user message: out of JSON, a tag or a `message:` line."""
    stripped = content.strip()
    if stripped.startswith("{"):
        try:
            found = json.loads(stripped)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            return text_of_fields(cast("dict[str, Any]", found))
    return _FIELD.sub("", _TAG.sub("", stripped)).strip()


def text_of_fields(fields: Mapping[str, Any]) -> str:
    """The texts among a case's inputs, one a line."""
    texts = [value for value in fields.values() if isinstance(value, str)]
    return "\n".join(texts or [json.dumps(dict(fields))]).strip()
