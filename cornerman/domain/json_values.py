"""Values that come from outside and are kept: JSON only, finite, and fit for any database.

What an agent returned, as JSON: rows, events and evaluators all see the same.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

# Deeper than any real case; json and the databases recurse.
MAX_DEPTH = 50
_SECRET_WORDS = ("secret", "password", "passwd", "api_key", "apikey", "token", "authorization")
# These hold counts or texts, though they have a secret's word in them.
_NOT_SECRET = ("max_tokens", "max_completion_tokens", "stop_token", "tokens")


def problem(text: str, path: str = "") -> PydanticCustomError:
    """Return an error for a validator to raise.

    Args:
        text: What is wrong and what would do; braces in it are safe.
        path: Dotted path, where it is not the field being validated.
    """
    return PydanticCustomError("cornerman", "{text}", {"text": text, "path": path})


def looks_secret(name: str) -> bool:
    """Whether a key of this name probably holds a secret."""
    plain = name.lower().replace("-", "_")
    if plain.endswith(_NOT_SECRET):
        return False
    return any(word in plain for word in _SECRET_WORDS)


def mask_secrets(value: Any) -> Any:
    """Return a copy in which the values of keys that look like secrets are `***`."""
    if isinstance(value, Mapping):
        return {
            key: "***" if looks_secret(str(key)) and item else mask_secrets(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [mask_secrets(item) for item in value]
    return value


def shown(value: Any, name: str = "") -> str:
    """Return a value's repr for a message: at most 80 characters, secrets masked."""
    if looks_secret(name):
        return "(hidden)"
    try:
        text = repr(mask_secrets(value))
    except ValueError:  # an integer of more digits than Python prints
        text = f"a {type(value).__name__} too large to print"
    return text if len(text) <= 80 else text[:79] + "…"


def json_fault(value: Any, depth: int = 0) -> tuple[str, str] | None:
    """Return where and why a value cannot be kept as JSON, or None when it can.

    Databases differ in what they forgive: PostgreSQL takes no NUL and no lone surrogate, and
    JSON has no NaN, so all of them are refused before anything is stored.
    """
    if value is None or isinstance(value, (bool, int)):
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else ("", f"{value!r} is not a finite number")
    if isinstance(value, str):
        return _text_fault(value)
    if depth >= MAX_DEPTH:
        return "", f"is nested deeper than {MAX_DEPTH} levels"
    if isinstance(value, Mapping):
        return _mapping_fault(value, depth)
    if isinstance(value, (list, tuple)):
        faults = ((str(place), json_fault(item, depth + 1)) for place, item in enumerate(value))
        return _first(faults)
    kind = type(value).__name__
    return "", f"{shown(value)} is a {kind}, which JSON does not have; in YAML, put it in quotes"


def _text_fault(text: str) -> tuple[str, str] | None:
    if "\x00" in text:
        return "", "holds a NUL character, which PostgreSQL cannot store"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "", "holds half of a surrogate pair, which is not valid text"
    return None


def _mapping_fault(value: Mapping[Any, Any], depth: int) -> tuple[str, str] | None:
    for key in value:
        if not isinstance(key, str):
            return "", f"key {shown(key)} must be text; in YAML, put it in quotes"
        if _text_fault(key):
            return "", f"key {shown(key)} {(_text_fault(key) or ('', ''))[1]}"
    return _first((str(key), json_fault(item, depth + 1)) for key, item in value.items())


def _first(faults: Any) -> tuple[str, str] | None:
    for name, fault in faults:
        if fault is not None:
            inner, why = fault
            return (f"{name}.{inner}" if inner else name), why
    return None


def _check_json(value: Any) -> Any:
    fault = json_fault(value)
    if fault is None:
        return value
    where, why = fault
    raise problem(f"at {where}: {why}" if where else why)


def _refuse_bool(value: Any) -> Any:
    # Python counts True as 1; a switch in a number's place is a mistake.
    if isinstance(value, bool):
        raise problem(f"{value!r} is not a number")
    return value


JsonText = Annotated[str, AfterValidator(_check_json)]
JsonObject = Annotated[dict[str, Any], AfterValidator(_check_json)]
JsonAny = Annotated[Any, AfterValidator(_check_json)]
WholeNumber = Annotated[int, BeforeValidator(_refuse_bool)]
FiniteNumber = Annotated[float, BeforeValidator(_refuse_bool)]


_DEEPEST = 50
TOO_DEEP = "(nested too deeply)"


def as_json(value: Any, depth: int = 0) -> Any:
    """Turn what an agent returned into plain JSON values.

    Pydantic models and dataclasses become objects, LangChain messages `{"role", "content"}` with
    what they called (one alone its content), arrays and numbers of NumPy and its kind lists and
    numbers, bytes text, anything unknown its text. NaN and infinities become None.
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


_ROLES = {"human": "user", "ai": "assistant"}
_MESSAGE_PARTS = ("name", "tool_calls", "tool_call_id")


def is_message(value: Any) -> bool:
    """Whether a value is one message of a conversation: LangChain's, or `{"role", "content"}`."""
    if isinstance(value, Mapping):
        return "content" in value and ("role" in value or "type" in value)
    has_role = any(isinstance(getattr(value, name, None), str) for name in ("role", "type"))
    return not isinstance(value, type) and has_role and hasattr(value, "content")


def _message(value: Any) -> dict[str, Any]:
    """A message object as `{"role", "content"}` and what it called."""
    role = getattr(value, "role", None) or getattr(value, "type", "")
    found = {"role": _ROLES.get(role, role), "content": as_json(value.content, 1)}
    for name in _MESSAGE_PARTS:
        if held := getattr(value, name, None):
            found[name] = as_json(held, 1)
    return found


def _object_as_json(value: Any, depth: int) -> Any:
    if isinstance(value, type):
        return str(value)  # what follows is asked of objects
    if is_message(value):
        return value.content if depth == 0 and isinstance(value.content, str) else _message(value)
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
