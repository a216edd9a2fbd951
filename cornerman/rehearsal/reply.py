"""What the simulator answers, before it is put into a dialect's form."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from cornerman.rehearsal.request import ChatRequest, Message
from cornerman.rehearsal.roles import reply_to
from cornerman.rehearsal.schema import build_instance
from cornerman.rehearsal.words import count_prompt_tokens, count_tokens, cut_text


@dataclass(frozen=True)
class ToolCall:
    """A tool that the model calls."""

    id: str
    name: str
    arguments: dict[str, Any]

    @property
    def json(self) -> str:
        """The arguments as the dialects carry them."""
        return json.dumps(self.arguments, ensure_ascii=False)


@dataclass(frozen=True)
class Reply:
    """An answer: a text, or tools to be called first.

    Args:
        was_cut: The output's limit cut the text.
    """

    digest: str
    role: str
    text: str
    calls: tuple[ToolCall, ...]
    was_cut: bool
    input_tokens: int
    output_tokens: int


def make_reply(request: ChatRequest, server_seed: int) -> Reply:
    """The answer to a request: a pure function of its content and the server's seed.

    Where it may call tools it calls the first one once for each thing it is asked, with arguments
    of that tool's schema, and answers when it has the result. A tool that must be called, as
    structured outputs make of one, gets the answer as its arguments.
    """
    calls = _calls(request, server_seed)
    text, was_cut = (
        ("", False) if calls else cut_text(_text(request, server_seed), request.max_tokens)
    )
    written = text + "".join(call.name + call.json for call in calls)
    offered = json.dumps(request.tools) if request.tools else ""
    contents = [message.content for message in request.messages]
    return Reply(
        digest=request.digest,
        role=request.role,
        text=text,
        calls=calls,
        was_cut=was_cut,
        input_tokens=count_prompt_tokens([*contents, offered] if offered else contents),
        output_tokens=count_tokens(written),
    )


def _text(request: ChatRequest, server_seed: int) -> str:
    return reply_to(_without_tools(request), server_seed)


def _without_tools(request: ChatRequest) -> ChatRequest:
    """The request as a talk alone: what went to and fro with tools is no part of it."""
    if not request.tools:
        return request
    said = [m for m in request.messages if m.content or m.role not in ("assistant", "tool")]
    return replace(request, messages=tuple(m for m in said if m.role != "tool"), tools=())


def _calls(request: ChatRequest, server_seed: int) -> tuple[ToolCall, ...]:
    tools = [_function(tool) for tool in request.tools]
    if not tools or request.tool_choice == "none":
        return ()
    asked = next((t for t in tools if t[0] == request.tool_choice), None)
    # A framework's own tool for the answer's form comes last; the user's own come first.
    results = _results_since_asked(request.messages)
    if asked is None and request.tool_choice == "required":
        asked = tools[min(results, len(tools) - 1)]
    elif asked is None:
        asked = tools[0] if results == 0 else None
    if asked is None:
        return ()
    name, schema = asked
    # One that must be called carries the answer; any other is asked about the question.

    is_answer = request.tool_choice in ("required", name)
    text = _text(request, server_seed) if is_answer else request.last_user
    arguments = build_instance(schema, _hints(schema, text, request.messages))
    made = cast("dict[str, Any]", arguments) if isinstance(arguments, dict) else {}
    return (ToolCall(f"call_{request.digest[:16]}", name, made),)


def _results_since_asked(messages: tuple[Message, ...]) -> int:
    count = 0
    for message in reversed(messages):
        if message.role == "user":
            break
        count += message.role == "tool"
    return count


# An order's, a ticket's or a booking's, such as LK-48213; and what asks for one.
_NUMBER = re.compile(r"\b(?:[A-Z]{1,4}-?)?\d{4,}\b")
_ASKS_FOR_NUMBER = re.compile(r"(?:^|_)(?:id|no|number|code|order|booking|ticket)(?:_|$)")


def _hints(schema: Mapping[str, Any], text: str, talk: Sequence[Message] = ()) -> dict[str, Any]:
    properties = schema.get("properties")
    names = list(cast("dict[str, Any]", properties)) if isinstance(properties, dict) else []
    hints: dict[str, Any] = dict.fromkeys(names, " ".join(text.split())[:200])
    said = [*(m.content for m in talk if m.role == "user"), text]
    numbers = [number for line in said for number in _NUMBER.findall(line)]
    for name in names if numbers else ():
        if _ASKS_FOR_NUMBER.search(name):
            hints[name] = numbers[-1]
    return hints


def _function(tool: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    held: Mapping[str, Any] = tool.get("function") or tool
    schema = held.get("parameters") or held.get("input_schema") or {}
    return str(held.get("name", "tool")), cast("dict[str, Any]", schema)
