"""Parameters that an endpoint refuses by name: left out or said otherwise, and remembered.

Names of models tell little (Azure's deployments have any), so what the endpoint says counts.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

# Each limit's name, and the one to use in its place.
_LIMIT_NAMES = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}
_NAMES = re.compile(
    r"\b(max_tokens|max_completion_tokens|temperature|seed|response_format|json_schema)\b"
)
# What refuses a schema may name the format's kind in place of the parameter.
_NAMED = {"json_schema": "response_format"}
_UNKNOWN = (
    r"unsupported|not supported|n['o]?t support|unknown|unrecogni[sz]ed|unexpected|not permitted|"
    r"not allowed|extra|instead"
)
# A limit whose value is refused stays under its name: another name would not make it fit.
_LIMIT_REFUSED = re.compile(_UNKNOWN, re.IGNORECASE)
_REFUSED = re.compile(rf"{_UNKNOWN}|unavailable|must be|invalid|only the default", re.IGNORECASE)


class Adaptations:
    """What each model's endpoint has refused, for as long as one client lives."""

    def __init__(self) -> None:
        self._refused: defaultdict[str, set[str]] = defaultdict(set)

    def learn(self, body: Mapping[str, Any], message: str) -> bool:
        """Take a refusal in.

        Args:
            body: The call that was refused.
            message: The endpoint's words.

        Returns:
            Whether the call can be made otherwise now: it has something that it names, or that
            another call, under way at the same time, has learned of meanwhile.
        """
        refused = self._refused[body["model"]]
        known = refused & body.keys()
        named: list[str] = _NAMES.findall(message)
        found = {_NAMED.get(name, name) for name in named}
        new = {name for name in found if name in body and self._is_refused(name, message)}
        # Both limits refused: there is no third name, and the endpoint's words must be shown.
        new -= {name for name in new if _LIMIT_NAMES.get(name) in refused}
        new -= refused
        refused |= new
        return bool(new or known)

    @staticmethod
    def _is_refused(name: str, message: str) -> bool:
        return bool((_LIMIT_REFUSED if name in _LIMIT_NAMES else _REFUSED).search(message))

    def apply(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The call as the endpoint takes it; a schema that it cannot enforce is put into words."""
        adapted = dict(body)
        for name in sorted(self._refused.get(body["model"], set[str]()) & adapted.keys()):
            value = adapted.pop(name)
            if name in _LIMIT_NAMES:
                adapted[_LIMIT_NAMES[name]] = value
            elif name == "response_format":
                words = "Answer with one JSON object and nothing else. " + json.dumps(value)
                adapted["messages"] = [*adapted["messages"], {"role": "user", "content": words}]
        return adapted
