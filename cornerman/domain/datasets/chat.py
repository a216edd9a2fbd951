"""A conversation as a case: what was said before the last answer, and that answer.

The forms in which tools keep messages, made the one that chat completions take: `{"role",
"content"}`, with `name`, `tool_calls` and `tool_call_id` where there are such.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from cornerman.domain.json_values import shown

Message = dict[str, Any]

_ROLES = {
    "human": "user",
    "ai": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "chatbot": "assistant",
    "developer": "system",
    "function": "tool",
    "observation": "tool",
}
ROLES = ("system", "user", "assistant", "tool")
_TEXT_PARTS = ("text", "input_text", "output_text")


class ChatFormError(ValueError):
    """Why a value is no conversation that makes a case; worded to follow the place it is at.

    Args:
        kind: The same in a word or two, by which such values are counted.
    """

    def __init__(self, text: str, kind: str = "not a conversation") -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True)
class Talk:
    """A conversation up to its last answer.

    Args:
        messages: What was said before the answer, without system messages.
        answer: The answer's text, or `{"content", "tool_calls"}` where it calls tools; None when
            nobody answered.
        system: The system messages' texts, a blank line between them.
    """

    messages: list[Message]
    answer: Any
    system: str


def messages_of(value: Any) -> list[Message]:
    """Return a conversation's messages in one form.

    Args:
        value: A list of `{"role", "content"}`, of ShareGPT's `{"from", "value"}`, an object that
            holds one under `messages`, or any of these as JSON text.

    Raises:
        ChatFormError: It is none of these.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise ChatFormError(f"{shown(value)} is not a list of messages") from error
    if isinstance(value, Mapping) and isinstance(value.get("messages"), list):
        value = value["messages"]
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise ChatFormError(f"{shown(value)} is not a list of messages")
    found = [_message(one, place) for place, one in enumerate(cast("Sequence[Any]", value))]
    _name_calls(found)
    return found


def _name_calls(messages: Sequence[Message]) -> None:
    """Give calls of tools that have no id one, and results the id of the call that they are of."""
    waiting = list[str]()
    for place, message in enumerate(messages):
        for number, call in enumerate(message.get("tool_calls", [])):
            call.setdefault("id", f"call_{place}_{number}")
            waiting.append(call["id"])
        if message["role"] == "tool" and waiting:
            first = waiting.pop(0)
            message.setdefault("tool_call_id", first)


def _message(value: Any, place: int) -> Message:
    if not isinstance(value, Mapping):
        raise ChatFormError(
            f"message {place} is not an object with role and content: {shown(value)}"
        )
    role = value.get("role") or value.get("from") or value.get("type")
    role = _ROLES.get(str(role).lower(), str(role).lower())
    if role not in ROLES:
        raise ChatFormError(
            f"message {place} has the role {shown(role)}; known: {', '.join(ROLES)}"
        )
    content = value["content"] if "content" in value else value.get("value")
    found: Message = {"role": role, "content": content_of(content)}
    # Parquet has every key in every message, most of them empty.
    for name in ("name", "tool_call_id", "weight"):
        if value.get(name) is not None:
            found[name] = value[name]
    if calls := _calls_of(value):
        found["tool_calls"] = calls
    return found


def content_of(content: Any) -> Any:
    """A message's content: its text, also of parts that are all text; other parts as they are."""
    if content is None:
        return ""
    if isinstance(content, Mapping) and isinstance(content.get("parts"), list):
        content = content["parts"]
    if not isinstance(content, list):
        return content
    texts = [_part_text(part) for part in cast("list[Any]", content)]
    if all(text is not None for text in texts):
        return "\n".join(text for text in texts if text is not None)
    return cast("list[Any]", content)


def _part_text(part: Any) -> str | None:
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping) and part.get("type", "text") in _TEXT_PARTS:
        text = part.get("text", part.get("content"))
        return text if isinstance(text, str) else None
    return None


def _calls_of(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A message's calls of tools, as chat completions have them."""
    held = message.get("tool_calls") or message.get("function_call")
    calls = [held] if isinstance(held, Mapping) else held
    found = list[dict[str, Any]]()
    for call in cast("list[Any]", calls) if isinstance(calls, list) else []:
        if not isinstance(call, Mapping):
            continue
        inner = call["function"] if isinstance(call.get("function"), Mapping) else call
        name = inner.get("name") or call.get("function")
        arguments = inner.get("arguments", inner.get("args", inner.get("input")))
        if isinstance(name, str):
            kept = {"id": call["id"]} if isinstance(call.get("id"), str) else {}
            text = arguments if isinstance(arguments, str) else _as_text(arguments or {})
            function = {"name": name, "arguments": text}
            found.append({**kept, "type": "function", "function": function})
    return found


def _parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments


def answer_of(message: Message) -> Any:
    """What an assistant's message comes to as an expected output; None when it is empty.

    Its calls are `{"name", "arguments"}`, arguments parsed where they can be.
    """
    made = [call["function"] for call in message.get("tool_calls", [])]
    calls = [{"name": one["name"], "arguments": _parsed(one["arguments"])} for one in made]
    if calls:
        return {"content": message["content"] or None, "tool_calls": calls}
    return message["content"] or None


def split_talk(messages: Sequence[Message]) -> Talk:
    """Take a conversation apart at its last answer.

    A message of weight 0, which OpenAI's fine-tuning leaves out, is no answer to learn from. What
    comes after the answer is left out: nobody answered it.

    Raises:
        ChatFormError: There is no answer, or nothing before it.
    """
    answered = [
        place
        for place, message in enumerate(messages)
        if message["role"] == "assistant"
        and message.get("weight", 1) != 0
        and answer_of(message) is not None
    ]
    if not answered:
        raise ChatFormError(
            "has no message of the assistant, whose last one is the expected output", "no output"
        )
    last = answered[-1]
    talk = whole_talk(messages[:last])
    if not talk.messages:
        raise ChatFormError("has nothing before the assistant's last message", "no input")
    return Talk(talk.messages, answer_of(messages[last]), talk.system)


def whole_talk(messages: Sequence[Message]) -> Talk:
    """A conversation that nobody has answered yet."""
    said = [
        {name: held for name, held in message.items() if name != "weight"}
        for message in messages
        if message["role"] != "system"
    ]
    system = [_as_text(one["content"]) for one in messages if one["role"] == "system"]
    return Talk(said, None, "\n\n".join(text for text in system if text))


def _as_text(content: Any) -> str:
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
