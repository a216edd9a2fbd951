"""YAML as people mean it: scalars by YAML 1.2's core schema, and no value that holds itself.

PyYAML reads by YAML 1.1, where the label `no` is a boolean, `1:30` is 90 and `2026-01-01` is a
date. By YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema) all three are text.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_SCALARS = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("merge", r"<<", "<"),
)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with YAML 1.2's plain scalars in place of 1.1's."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - PyYAML's own, of the class

    def construct_decimal(self, node: Any) -> int:
        """A whole number: decimal, whatever zeros it begins with, or with `0o` or `0x`."""
        text = str(self.construct_scalar(node))
        return int(text, 0 if text[:2] in ("0o", "0x") else 10)


for _name, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(rf"(?:{_pattern})\Z"), list(_first)
    )
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_decimal)


class YamlCycleError(yaml.YAMLError):
    """An alias stands inside what it names, so the value has no end."""


def read_yaml(text: str) -> Any:
    """The one document of a YAML (or JSON) text, as plain values.

    Raises:
        yaml.YAMLError: It is not YAML, or an alias stands inside the value that it names.
        RecursionError: It is nested too deeply to read.
        ValueError: A number has more digits than Python reads.
    """
    value = yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    _refuse_cycles(value, "", set(), set())
    return value


def _refuse_cycles(value: Any, path: str, above: set[int], fine: set[int]) -> None:
    """Refuse a value that stands inside itself; `above` are those around it."""
    if not isinstance(value, (dict, list)) or id(value) in fine:
        return
    if id(value) in above:
        raise YamlCycleError(f"the alias at {path or 'its top'} stands inside the value it names")
    above.add(id(value))
    held = value.items() if isinstance(value, dict) else enumerate(value)
    for name, inner in held:
        _refuse_cycles(inner, f"{path}.{name}" if path else str(name), above, fine)
    above.discard(id(value))
    fine.add(id(value))
