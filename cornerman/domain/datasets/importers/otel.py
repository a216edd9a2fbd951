"""OpenTelemetry exports of model calls, in each convention that GenAI instrumentations have used.

Now: `gen_ai.input.messages`, `gen_ai.output.messages` and `gen_ai.system_instructions`, on spans or
on the event `gen_ai.client.inference.operation.details`. Before: one event a message
(`gen_ai.user.message`, `gen_ai.choice`), as log records or in the span. First, and still from
OpenLLMetry: `gen_ai.prompt.0.content` and `gen_ai.completion.0.content`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from cornerman.domain.datasets.chat import ChatFormError, Message, messages_of, split_talk
from cornerman.domain.datasets.content import read_text
from cornerman.domain.datasets.importers.forms import parsed
from cornerman.domain.datasets.importers.made import Made
from cornerman.domain.datasets.importers.otlp import Entry, read_entries

ENDINGS = (".json", ".jsonl", ".ndjson")

_INDEXED = re.compile(r"(?:gen_ai|llm)\.(prompt|completion)s?\.(\d+)\.(.+)")
_CALL = re.compile(r"tool_calls\.(\d+)\.(?:function\.)?(name|arguments|id)")
_MESSAGE_EVENT = re.compile(r"gen_ai\.(system|user|assistant|tool)\.message")
_CALLS = ("chat", "text_completion", "generate_content", "completion")
_AGENTS = ("invoke_agent", "invoke_workflow", "create_agent")


def import_otel(path: Path) -> Made:
    """Make a case of each model call whose messages were recorded.

    Spans of agents count only where no call of a model has messages: else each conversation would
    be there twice.

    Raises:
        BadInputError: The file is no export of spans or log records.
    """
    made = Made()
    entries = read_entries(path.name, read_text(path))
    said = [(entry, _messages(entry)) for entry in entries]
    calls = any(messages and _operation(entry) not in _AGENTS for entry, messages in said)
    for entry, messages in said:
        if calls and _operation(entry) in _AGENTS:
            made.skip("a span of an agent, whose calls are cases", entry.place)
        else:
            _add(made, entry, messages)
    return made


def _operation(entry: Entry) -> str:
    """What the entry is of; a span that names nothing is told by the first word of its name."""
    held = _of(entry, "gen_ai.operation.name", "llm.request.type")
    return str(held or entry.name.split(" ")[0])


def _of(entry: Entry, *names: str) -> Any:
    held = [entry.attributes, *(attributes for _, attributes in entry.events)]
    return next((one[name] for one in held for name in names if one.get(name) is not None), None)


def _add(made: Made, entry: Entry, messages: list[Any]) -> None:
    if not any(_is_said(message) for message in messages):
        is_call = (
            bool(messages)
            or _operation(entry) in _CALLS
            or "gen_ai.request.model" in entry.attributes
        )
        reason = "a call whose messages were not recorded" if is_call else "no call of a model"
        return made.skip(reason, entry.place)
    try:
        found = messages_of(messages)
        # What the assistant said before is no answer to what it was asked last.
        if found[-1]["role"] != "assistant":
            return made.skip("no output", entry.place)
        talk = split_talk(found)
    except ChatFormError as error:
        return made.skip(error, entry.place)
    trace, span = entry.key
    metadata = {
        "trace_id": trace,
        "span_id": span if trace else "",
        "model": _of(entry, "gen_ai.response.model", "gen_ai.request.model"),
        "conversation_id": _of(entry, "gen_ai.conversation.id"),
        "tools": parsed(_of(entry, "gen_ai.tool.definitions")),
    }
    return made.add_talk(entry.place, talk, given_id=span if trace else None, metadata=metadata)


def _is_said(message: Any) -> bool:
    """Whether a message holds something: instrumentations may record that one was, and not what."""
    if not isinstance(message, Mapping):
        return bool(message)
    fields = cast("Mapping[str, Any]", message)
    return fields.get("role") != "assistant" and fields.get("content") not in (None, "", [])


def _messages(entry: Entry) -> list[Any]:
    """All messages of a call in order, the answer last; empty when none was recorded."""
    return _whole(entry) or _by_event(entry) or _by_index(entry) or _by_content(entry)


def _whole(entry: Entry) -> list[Any]:
    asked = parsed(_of(entry, "gen_ai.input.messages"))
    answered = parsed(_of(entry, "gen_ai.output.messages"))
    if not isinstance(asked, list) and not isinstance(answered, list):
        return []
    found = list[Any]()
    system = parsed(_of(entry, "gen_ai.system_instructions", "gen_ai.system.instructions"))
    if system:
        parts = cast("list[Any]", system) if isinstance(system, list) else [system]
        found.append(_of_parts({"role": "system", "parts": parts}))
    for held in (asked, answered):
        messages = cast("list[Any]", held) if isinstance(held, list) else []
        found += [_of_parts(one) for one in messages[: 1 if held is answered else None]]
    return found


def _of_parts(message: Any) -> Any:
    """A message of parts as one of text, calls and results of tools; thoughts are left out."""
    if not isinstance(message, Mapping) or not isinstance(message.get("parts"), list):
        return message
    fields = cast("Mapping[str, Any]", message)
    content, calls = list[Any](), list[Any]()
    found: Message = {"role": fields.get("role")}
    for part in cast("list[Any]", fields["parts"]):
        if not isinstance(part, Mapping):
            content.append(part)
            continue
        kind = part.get("type")
        if kind == "tool_call":
            calls.append({k: part.get(k) for k in ("id", "name", "arguments")})
        elif kind == "tool_call_response":
            content.append(_as_text(part.get("response", part.get("result"))))
            found["tool_call_id"] = part.get("id")
        elif kind not in ("reasoning", "thinking"):
            content.append(dict(cast("Mapping[str, Any]", part)))
    return found | {"content": content} | ({"tool_calls": calls} if calls else {})


def _as_text(value: Any) -> Any:
    return value if isinstance(value, str) else {"type": "json", "content": value}


def _by_event(entry: Entry) -> list[Any]:
    found, answers = list[Any](), list[Any]()
    for name, attributes in entry.events:
        body = parsed(attributes.get("body"))
        held = cast("Mapping[str, Any]", body) if isinstance(body, Mapping) else attributes
        if name == "gen_ai.choice":
            message = parsed(held.get("message", held))
            answers.append({"role": "assistant", **cast("Message", message)})
        elif match := _MESSAGE_EVENT.fullmatch(name):
            found.append({**_event_message(held), "role": held.get("role") or match[1]})
    return [*found, *answers[:1]] if found or answers else []


def _event_message(held: Mapping[str, Any]) -> Message:
    message = {key: parsed(value) for key, value in held.items() if key != "body"}
    if message.get("tool_call_id") is None and "id" in message:
        message["tool_call_id"] = message["id"]
    return {"content": None, **message}


def _by_index(entry: Entry) -> list[Any]:
    """Messages from one attribute for each of their parts, `gen_ai.prompt.0.role` and so on."""
    held: dict[tuple[str, int], dict[str, Any]] = {}
    calls: dict[tuple[str, int], dict[int, dict[str, Any]]] = {}
    for key, value in entry.attributes.items():
        match = _INDEXED.fullmatch(key)
        if match is None:
            continue
        where = match[1], int(match[2])
        call = _CALL.fullmatch(match[3])
        if call is None:
            held.setdefault(where, {})[match[3]] = value
        else:
            held.setdefault(where, {})
            calls.setdefault(where, {}).setdefault(int(call[1]), {})[call[2]] = value
    found = list[Any]()
    for kind, default in (("prompt", "user"), ("completion", "assistant")):
        at = sorted(number for name, number in held if name == kind)
        for number in at[:1] if kind == "completion" else at:
            parts = held[kind, number]
            made = [one for _, one in sorted(calls.get((kind, number), {}).items())]
            content = parsed(parts.get("content"))
            found.append(
                {
                    "role": parts.get("role") or default,
                    "content": content if isinstance(content, list) else parts.get("content"),
                    "tool_call_id": parts.get("tool_call_id"),
                    "tool_calls": made,
                }
            )
    return found


def _by_content(entry: Entry) -> list[Any]:
    """Messages from two events of the span, which hold all of them as JSON."""
    asked = parsed(_of(entry, "gen_ai.prompt"))
    answered = parsed(_of(entry, "gen_ai.completion"))
    if asked is None or answered is None:
        return []
    before = asked if isinstance(asked, list) else [{"role": "user", "content": asked}]
    if isinstance(answered, list):
        return [*before, *cast("list[Any]", answered)[:1]]
    return [*before, {"role": "assistant", "content": answered}]
