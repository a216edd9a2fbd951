"""A smallest instance of a JSON schema, with better values where hints fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

Schema = Mapping[str, Any]

_DEPTH_LIMIT = 24
# No honest schema insists on more; a hostile one shall not fill the memory.
_LENGTH_LIMIT = 10_000


def build_instance(schema: Schema, hints: Any = None) -> Any:
    """An instance that is valid under the schema's types, bounds, enums and lengths.

    Args:
        hints: A value of the wanted shape; each part is used where it is valid.
    """
    return _build(schema, hints, schema, 0)


def _build(schema: Schema, hint: Any, root: Schema, depth: int) -> Any:
    if depth > _DEPTH_LIMIT:
        return None
    schema = _resolve(schema, hint, root)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return hint if hint in schema["enum"] else schema["enum"][0]
    kind = _kind(schema, hint)
    if kind == "object":
        return _object(schema, hint, root, depth)
    if kind == "array":
        return _array(schema, hint, root, depth)
    if kind in ("number", "integer"):
        return _number(schema, hint, whole=kind == "integer")
    if kind == "boolean":
        return hint if isinstance(hint, bool) else False
    return _text(schema, hint) if kind == "string" else None


def _resolve(schema: Schema, hint: Any, root: Schema) -> Schema:
    """The schema with references followed and one of its alternatives chosen."""
    for _ in range(_DEPTH_LIMIT):
        if "$ref" in schema:
            schema = _target(str(schema["$ref"]), root)
        elif "allOf" in schema:
            rest = {name: value for name, value in schema.items() if name != "allOf"}
            parts = [_resolve(part, hint, root) for part in schema["allOf"]]
            schema = _merged([rest, *parts])
        elif options := schema.get("anyOf") or schema.get("oneOf"):
            resolved = [_resolve(option, hint, root) for option in options]
            schema = next((one for one in resolved if _matches(one, hint)), resolved[0])
        else:
            break
    return schema


def _target(reference: str, root: Schema) -> Schema:
    found: Any = root
    for part in reference.removeprefix("#").split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        found = cast("dict[str, Any]", found).get(key, {}) if isinstance(found, dict) else {}
    return cast("Schema", found) if isinstance(found, dict) else {}


def _merged(parts: list[Schema]) -> Schema:
    merged: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    required: list[str] = []
    for part in parts:
        merged.update(part)
        properties.update(part.get("properties", {}))
        required += part.get("required", [])
    return {**merged, "properties": properties, "required": required} if properties else merged


def _kinds(schema: Schema) -> list[str]:
    stated = schema.get("type")
    if isinstance(stated, list):
        return cast("list[str]", stated)
    if stated:
        return [str(stated)]
    return ["object"] if "properties" in schema else ["array"] if "items" in schema else ["string"]


def _matches(schema: Schema, hint: Any) -> bool:
    return _kind_of(hint) in _kinds(schema) or (
        _kind_of(hint) == "integer" and "number" in _kinds(schema)
    )


def _kind(schema: Schema, hint: Any) -> str:
    kinds = _kinds(schema)
    found = _kind_of(hint)
    if found == "integer" and "number" in kinds:
        return "number"
    return found if found in kinds else kinds[0]


def _kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    names: list[tuple[type, str]] = [
        (int, "integer"), (float, "number"), (str, "string"), (dict, "object"), (list, "array"),
    ]  # fmt: skip
    return next((name for kind, name in names if isinstance(value, kind)), "null")


def _object(schema: Schema, hint: Any, root: Schema, depth: int) -> dict[str, Any]:
    given = cast("dict[str, Any]", hint) if isinstance(hint, dict) else {}
    properties: dict[str, Schema] = schema.get("properties", {})
    required: list[str] = schema.get("required", [])
    # A schema may contain itself; deep down only what it insists on is written.
    names = list(properties) if depth < 6 else [name for name in properties if name in required]
    made = {name: _build(properties[name], given.get(name), root, depth + 1) for name in names}
    if not properties and schema.get("additionalProperties") is not False:
        made.update(given)
    return made


def _array(schema: Schema, hint: Any, root: Schema, depth: int) -> list[Any]:
    given: list[Any] = cast("list[Any]", hint) if isinstance(hint, list) else []
    fewest = min(int(schema.get("minItems", 0)), _LENGTH_LIMIT)
    most = schema.get("maxItems")
    hints: list[Any] = given + [None] * (fewest - len(given))
    if most is not None:
        hints = hints[: int(most)]
    items = schema.get("items")
    element: Schema = cast("Schema", items) if isinstance(items, dict) else {}
    return [_build(element, one, root, depth + 1) if element else one for one in hints]


def _number(schema: Schema, hint: Any, whole: bool) -> float:
    usable = isinstance(hint, int | float) and not isinstance(hint, bool)
    step = 1 if whole else 0.01
    low, high = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        low = schema["exclusiveMinimum"] + step
    if "exclusiveMaximum" in schema:
        high = schema["exclusiveMaximum"] - step
    value = hint if usable else low if low is not None else min(0, high or 0)
    value = max(value, low) if low is not None else value
    value = min(value, high) if high is not None else value
    return round(value) if whole else value


def _text(schema: Schema, hint: Any) -> str:
    text = hint if isinstance(hint, str) else "simulated"
    fewest = min(int(schema.get("minLength", 0)), _LENGTH_LIMIT)
    most = schema.get("maxLength")
    text = text.ljust(fewest, ".")
    return text[: int(most)] if most is not None else text
