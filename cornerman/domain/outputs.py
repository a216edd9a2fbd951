"""What an agent returned, as JSON: rows, events and evaluators all see the same."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

_DEEPEST = 50


def as_json(value: Any, depth: int = 0) -> Any:
    """Turn what an agent returned into plain JSON values.

    Pydantic models and dataclasses become objects, LangChain messages their content, anything
    unknown its text. NaN and infinities become None.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth >= _DEEPEST:
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): as_json(held, depth + 1) for key, held in value.items()}
    if isinstance(value, (Sequence, set, frozenset)) and not isinstance(value, (bytes, bytearray)):
        return [as_json(held, depth + 1) for held in value]
    return _object_as_json(value, depth)


def _object_as_json(value: Any, depth: int) -> Any:
    if isinstance(getattr(value, "content", None), str):
        return value.content
    if hasattr(value, "model_dump"):
        return as_json(value.model_dump(mode="json"), depth + 1)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return as_json(dataclasses.asdict(value), depth + 1)
    return str(value)
