"""The forms in which tracing tools keep what went in and what came out, as a case has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from cornerman.domain.datasets.chat import (
    ChatFormError,
    Talk,
    answer_of,
    messages_of,
    whole_talk,
)


def parsed(value: Any) -> Any:
    """A JSON document that is kept as text, parsed; every other value as it is.

    A text that is merely a number stays one: it was somebody's answer.
    """
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "[", '"'):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def talk_in(value: Any) -> Talk | None:
    """The conversation that an input is, without an answer; None when it is no conversation.

    Takes a list of messages, `{"messages": [...]}` with a `system` of its own as Anthropic's API
    has it, and the same under `input` (OpenAI's responses).
    """
    system = ""
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        own = fields.get("system", fields.get("instructions"))
        system = own if isinstance(own, str) else ""
        value = fields.get("messages", fields.get("input"))
    if not isinstance(value, list):
        return None
    try:
        talk = whole_talk(messages_of(value))
    except ChatFormError:
        return None
    if not talk.messages:
        return None
    whole = "\n\n".join(part for part in (system, talk.system) if part)
    return Talk(talk.messages, None, whole)


def inputs_of(value: Any) -> dict[str, Any]:
    """An input that is no conversation: an object's keys, or the value under `input`."""
    if isinstance(value, Mapping):
        return {str(key): held for key, held in cast("Mapping[Any, Any]", value).items()}
    return {"input": value}


def answer_in(value: Any) -> Any:
    """The answer that an output holds; None when there is none.

    Of a completion its first choice's message, of a conversation the assistant's last, of a
    message its text or its calls of tools, of `{"output": ...}` what is in it; any other value as
    it is.
    """
    if isinstance(value, str):
        return value or None
    if isinstance(value, list):
        return _last_answer(cast("list[Any]", value))
    if not isinstance(value, Mapping):
        return value
    fields = cast("Mapping[str, Any]", value)
    if isinstance(fields.get("choices"), list) and fields["choices"]:
        first = fields["choices"][0]
        held = first.get("message", first.get("text")) if isinstance(first, Mapping) else first
        return answer_in(held)
    if isinstance(fields.get("messages"), list):
        return _last_answer(fields["messages"])
    if "content" in fields and ("role" in fields or "type" in fields):
        return _last_answer([fields])
    if len(fields) == 1 and "output" in fields:
        return answer_in(fields["output"])
    return dict(fields) or None


def _last_answer(messages: list[Any]) -> Any:
    try:
        found = messages_of(messages)
    except ChatFormError:
        return messages or None
    said = [message for message in found if message["role"] == "assistant"]
    return answer_of(said[-1]) if said else None
