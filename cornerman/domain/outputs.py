"""What an agent returned, as JSON: rows, events and evaluators all see the same."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

_DEEPEST = 50
TOO_DEEP = "(nested too deeply)"


def as_json(value: Any, depth: int = 0) -> Any:
    """Turn what an agent returned into plain JSON values.

    Pydantic models and dataclasses become objects, LangChain messages their content, arrays and
    numbers of NumPy and its kind lists and numbers, bytes text, anything unknown its text. NaN
    and infinities become None.
    """
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # plain, whatever a subclass makes of it
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (bytes, bytearray)):
        return value.decode("utf-8", "replace")
    if depth >= _DEEPEST:
        return TOO_DEEP
    if isinstance(value, Mapping):
        return {str(key): as_json(held, depth + 1) for key, held in value.items()}
    if isinstance(value, (Sequence, set, frozenset)):
        return [as_json(held, depth + 1) for held in value]
    return _object_as_json(value, depth)


def _object_as_json(value: Any, depth: int) -> Any:
    if isinstance(value, type):
        return str(value)  # what follows is asked of objects
    if isinstance(getattr(value, "content", None), str):
        return value.content
    if hasattr(value, "model_dump"):
        return as_json(value.model_dump(mode="json"), depth + 1)
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return {field.name: as_json(getattr(value, field.name), depth + 1) for field in fields}
    if callable(getattr(value, "tolist", None)):
        return as_json(value.tolist(), depth + 1)
    return str(value)
