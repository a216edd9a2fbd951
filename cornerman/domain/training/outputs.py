"""What counts as an agent's output, and what else it returned with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from cornerman.domain.json_values import as_json, is_message


@dataclass(frozen=True)
class AgentOutput:
    """An agent's answer as JSON.

    Args:
        value: What is scored, shown and stored: a state's last message's text, else all of it.
        whole: All that was returned; evaluators get a part of it by `config: {path: ...}`.
    """

    value: Any
    whole: Any


def read_output(returned: Any) -> AgentOutput:
    """The output of what an agent returned."""
    whole = as_json(returned)
    if is_message(returned):
        return AgentOutput(_text_of(returned), whole)
    messages = cast("Any", returned).get("messages") if isinstance(returned, Mapping) else None
    if isinstance(messages, (list, tuple)) and messages and is_message(last := messages[-1]):
        return AgentOutput(_text_of(last), whole)
    return AgentOutput(whole, whole)


def _text_of(message: Any) -> Any:
    held = message.get("content") if isinstance(message, Mapping) else message.content
    if not isinstance(held, list):
        return as_json(held)
    texts = list[str]()
    for part in cast("list[Any]", held):
        text = cast("Any", part).get("text") if isinstance(part, Mapping) else part
        if isinstance(text, str):
            texts.append(text)
    return "".join(texts)


class NoSuchPartError(LookupError):
    """A path that leads nowhere in what the agent returned."""


def part_at(value: Any, path: str) -> Any:
    """The part of a JSON value at a dotted path, such as `messages.-1.tool_calls.0.name`.

    Raises:
        NoSuchPartError: Naming the step that leads nowhere, and what is there.
    """
    for step in path.split("."):
        if isinstance(value, Mapping) and step in value:
            value = cast("Mapping[str, Any]", value)[step]
        elif isinstance(value, list) and step.lstrip("-").isdecimal():
            items = cast("list[Any]", value)
            if not -len(items) <= int(step) < len(items):
                raise NoSuchPartError(f"path {path!r}: there are {len(items)} items, no {step}")
            value = items[int(step)]
        else:
            there = ", ".join(map(str, cast("Any", value))) if isinstance(value, Mapping) else None
            kind = f"it has {there or 'nothing'}" if there is not None else "it has no parts"
            raise NoSuchPartError(f"path {path!r}: there is no {step!r}; {kind}")
    return value
