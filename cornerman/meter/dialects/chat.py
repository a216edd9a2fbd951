"""OpenAI's chat completions."""

from __future__ import annotations

from typing import Any

from cornerman.clients.chat_answer import parse_usage
from cornerman.clients.chat_request import LIMIT_NAMES, limit_name
from cornerman.meter.dialects.base import (
    Bound,
    Json,
    OpenAIDialect,
    Reader,
    RequestRefusedError,
    input_bound,
    list_of,
    object_of,
    read_arguments,
    require_messages,
    require_model,
    require_own_tools,
    tier_factor,
    whole_number,
)


class ChatDialect(OpenAIDialect):
    """`POST /v1/chat/completions`."""

    path = "/v1/chat/completions"

    def bound(self, body: Json, size: int, most_output: int) -> Bound:
        model = require_model(body)
        messages = require_messages(body)
        require_own_tools(body, {"function", "custom"})
        if body.get("web_search_options") is not None:
            raise RequestRefusedError(
                "web_search_options: a search's cost cannot be bounded; give it as a tool.",
                code="unbounded_request",
            )
        limits = [limit for name in LIMIT_NAMES if (limit := whole_number(body, name)) is not None]
        sent = dict(body)
        if not limits:
            sent[limit_name(model)] = most_output
        if body.get("stream"):
            options = object_of(body.get("stream_options"))
            sent["stream_options"] = {**options, "include_usage": True}
        # A prediction's rejected tokens are paid as output.
        predicted = len(str(body.get("prediction") or ""))
        output = (max(limits) if limits else most_output) * (whole_number(body, "n") or 1)
        return Bound(
            model=model,
            input_tokens=input_bound(body, size, len(messages)),
            output_tokens=output + predicted,
            body=sent,
            is_changed=sent != body,
            factor=tier_factor(body),
        )

    def reader(self, asked: Json) -> ChatReader:
        options = object_of(asked.get("stream_options"))
        return ChatReader(shows_usage=bool(options.get("include_usage")))

    def messages(self, body: Json) -> tuple[list[Any], list[Any]]:
        return list(body.get("messages") or []), list(body.get("tools") or [])


class ChatReader(Reader):
    """Reads a completion, or puts one together from its chunks."""

    def __init__(self, *, shows_usage: bool) -> None:
        super().__init__()
        self._shows_usage = shows_usage
        self._messages: dict[int, Json] = {}

    def whole(self, body: Any) -> None:
        held = object_of(body)
        self.usage = parse_usage(held.get("usage"))
        choices = held.get("choices")
        if held.get("error") or not isinstance(choices, list) or not choices:
            self.error = f"The answer has no choices: {str(held.get('error') or body)[:300]}"
            return
        for index, choice in enumerate(list_of(choices)):
            message = object_of(choice).get("message")
            if isinstance(message, dict):
                self._messages[index] = object_of(message)
                self._note_end(object_of(choice).get("finish_reason"))
        self.is_complete = True

    def event(self, data: Any) -> bool:
        held = object_of(data)
        if held.get("error"):
            self.error = str(held["error"])[:300]
        # Sent twice, the later one counts: it holds all that was used until then.
        self.usage = parse_usage(held.get("usage")) or self.usage
        found = list_of(held.get("choices"))
        for choice in found:
            if isinstance(choice, dict):
                self._add(object_of(choice))
        if self._shows_usage or held.get("usage") is None or found:
            return True
        return held.get("error") is not None

    def _add(self, choice: Json) -> None:
        index = choice.get("index")
        message = self._messages.setdefault(index if isinstance(index, int) else 0, {})
        if choice.get("finish_reason"):
            self.is_complete = True
            self._note_end(choice["finish_reason"])
        for name, value in object_of(choice.get("delta")).items():
            if name == "tool_calls" and isinstance(value, list):
                _add_calls(message.setdefault("tool_calls", []), list_of(value))
            elif isinstance(value, str) and isinstance(message.get(name), str) and name != "role":
                message[name] += value
            elif value is not None:
                message[name] = value

    def _note_end(self, reason: Any) -> None:
        refused = any(m.get("refusal") and not m.get("content") for m in self._messages.values())
        self.finish_reason = "refusal" if refused else reason if isinstance(reason, str) else None

    def response(self) -> Any:
        said = [self._messages[index] for index in sorted(self._messages)]
        return said[0] if len(said) == 1 else said or None

    def tool_calls(self) -> list[Json]:
        found = list[Json]()
        for message in self._messages.values():
            for call in list_of(message.get("tool_calls")):
                held = object_of(call)
                inner: Json = held.get("function") or held.get("custom") or {}
                arguments = read_arguments(inner.get("arguments", inner.get("input")))
                name = inner.get("name")
                found.append({"id": held.get("id"), "name": name, "arguments": arguments})
        return found


def _add_calls(calls: list[Json], deltas: list[Any]) -> None:
    for delta in deltas:
        if not isinstance(delta, dict):
            continue
        held = object_of(delta)
        index = held.get("index")
        at = index if isinstance(index, int) and 0 <= index < 1_000 else len(calls)
        while len(calls) <= at:
            calls.append({"type": "function", "function": {"name": "", "arguments": ""}})
        if held.get("id"):
            calls[at]["id"] = held["id"]
        inner = held.get("function")
        for name, value in object_of(inner).items():
            if isinstance(value, str):
                calls[at]["function"][name] = calls[at]["function"].get(name, "") + value
