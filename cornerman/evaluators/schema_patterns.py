"""The keywords of JSON Schema that hold patterns, on an engine that always comes back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from cornerman.domain.patterns import PatternError, compile_pattern

# What stands there is a value, whatever it looks like.
_VALUES = ("const", "enum", "default", "examples")
# Their values are schemas by name, and a property may well be named `pattern`.
_BY_NAME = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")


def check_patterns(schema: Any) -> None:
    """Refuse a schema with a pattern that cannot be matched here.

    Raises:
        ValueError: Names the pattern and what is wrong with it.
    """
    if isinstance(schema, list):
        for part in cast("list[Any]", schema):
            check_patterns(part)
    if not isinstance(schema, dict):
        return
    keywords = cast("dict[str, Any]", schema)
    named = keywords.get("patternProperties")
    patterns = list(cast("dict[str, Any]", named)) if isinstance(named, dict) else []
    if patterns and "unevaluatedProperties" in keywords:
        raise ValueError(
            "schema: unevaluatedProperties beside patternProperties is not supported; write "
            "additionalProperties"
        )
    for pattern in [*patterns, keywords.get("pattern")]:
        if isinstance(pattern, str):
            _check(pattern)
    for name, value in keywords.items():
        if name in _BY_NAME and isinstance(value, dict):
            check_patterns(list(cast("dict[str, Any]", value).values()))
        elif name not in _VALUES:
            check_patterns(value)


def _check(pattern: str) -> None:
    try:
        compile_pattern(pattern)
    except PatternError as error:
        raise ValueError(f"schema: {pattern!r} is not a regular expression: {error}") from None


def with_safe_patterns(kind: Any) -> Any:
    """A validator class as `kind`, whose patterns take a time that grows with the text alone."""
    replaced = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
    }
    # Drafts differ in what they know: a keyword that one lacks stays unknown to it.
    return extend(kind, {name: how for name, how in replaced.items() if name in kind.VALIDATORS})


def _pattern(validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[Any]:
    if validator.is_type(instance, "string") and not compile_pattern(pattern).search(instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: Any, _schema: Any
) -> Iterator[Any]:
    if not validator.is_type(instance, "object"):
        return
    for pattern, schema in patterns.items():
        compiled = compile_pattern(pattern)
        for name, value in instance.items():
            if compiled.search(name):
                yield from validator.descend(value, schema, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, wanted: Any, instance: Any, schema: Mapping[str, Any]
) -> Iterator[Any]:
    if not validator.is_type(instance, "object"):
        return
    known = schema.get("properties", {})
    patterns = [compile_pattern(pattern) for pattern in schema.get("patternProperties", {})]
    extra = [
        name
        for name in instance
        if name not in known and not any(pattern.search(name) for pattern in patterns)
    ]
    if validator.is_type(wanted, "object"):
        for name in extra:
            yield from validator.descend(instance[name], wanted, path=name)
    elif not wanted and extra:
        names = ", ".join(repr(name) for name in sorted(extra))
        yield ValidationError(f"Additional properties are not allowed: {names}")
