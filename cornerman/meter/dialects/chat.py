"""OpenAI's chat completions."""

from __future__ import annotations

import re
from typing import Any, cast

from cornerman.clients.chat_answer import Usage, parse_usage
from cornerman.meter.dialects.base import (
    Bound,
    Json,
    Provider,
    RequestRefusedError,
    input_bound,
    openai_refusal,
    read_arguments,
    require_model,
    require_own_tools,
    tier_factor,
    whole_number,
)

# These refuse `max_tokens`; endpoints that are not OpenAI's may know nothing else.
_REASONING_MODEL = re.compile(r"^(?:[\w.-]+/)*(?:o\d|gpt-(?:[5-9]|\d\d))")
_LIMITS = ("max_completion_tokens", "max_tokens")


class ChatDialect:
    """`POST /v1/chat/completions`."""

    path = "/v1/chat/completions"
    provider: Provider = "openai"
    is_embedding = False

    def bound(self, body: Json, size: int, most_output: int) -> Bound:
        model = require_model(body)
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise RequestRefusedError("messages must be a list that is not empty.", code="messages")
        require_own_tools(body, {"function", "custom"})
        if body.get("web_search_options") is not None:
            raise RequestRefusedError(
                "web_search_options: a search's cost cannot be bounded; give it as a tool.",
                code="unbounded_request",
            )
        limits = [limit for name in _LIMITS if (limit := whole_number(body, name)) is not None]
        sent, added = dict(body), ""
        if not limits:
            added = _LIMITS[0] if _REASONING_MODEL.match(model) else _LIMITS[1]
            sent[added] = most_output
        streams = bool(body.get("stream"))
        if streams:
            options = body.get("stream_options")
            kept = cast("Json", options) if isinstance(options, dict) else {}
            sent["stream_options"] = {**kept, "include_usage": True}
        # A prediction's rejected tokens are paid as output.
        predicted = len(str(body.get("prediction") or ""))
        output = (max(limits) if limits else most_output) * (whole_number(body, "n") or 1)
        return Bound(
            model=model,
            input_tokens=input_bound(body, size, len(cast("list[Any]", messages))),
            output_tokens=output + predicted,
            streams=streams,
            body=sent,
            is_changed=sent != body,
            added_limit=added,
            factor=tier_factor(body),
        )

    def reader(self, bound: Bound, asked: Json) -> ChatReader:
        options = asked.get("stream_options")
        wanted = isinstance(options, dict) and cast("Json", options).get("include_usage")
        return ChatReader(shows_usage=bool(wanted))

    def messages(self, body: Json) -> tuple[list[Any], list[Any]]:
        return list(body.get("messages") or []), list(body.get("tools") or [])

    def refusal(self, status: int, code: str, message: str) -> Json:
        return openai_refusal(status, code, message)


class ChatReader:
    """Reads a completion, or puts one together from its chunks."""

    def __init__(self, *, shows_usage: bool) -> None:
        self._shows_usage = shows_usage
        self.usage: Usage | None = None
        self.is_complete = False
        self.finish_reason: str | None = None
        self.error: str | None = None
        self._messages: dict[int, Json] = {}

    def whole(self, body: Any) -> None:
        held = cast("Json", body) if isinstance(body, dict) else {}
        self.usage = parse_usage(held.get("usage"))
        choices = held.get("choices")
        if held.get("error") or not isinstance(choices, list) or not choices:
            self.error = f"The answer has no choices: {str(held.get('error') or body)[:300]}"
            return
        for index, choice in enumerate(cast("list[Any]", choices)):
            message = cast("Json", choice).get("message") if isinstance(choice, dict) else None
            if isinstance(message, dict):
                self._messages[index] = cast("Json", message)
                self._note_end(cast("Json", choice).get("finish_reason"))
        self.is_complete = True

    def event(self, data: Any) -> bool:
        if not isinstance(data, dict):
            return True
        held = cast("Json", data)
        if held.get("error"):
            self.error = str(held["error"])[:300]
        # Sent twice, the later one counts: it holds all that was used until then.
        self.usage = parse_usage(held.get("usage")) or self.usage
        choices = held.get("choices")
        found = cast("list[Any]", choices) if isinstance(choices, list) else []
        for choice in found:
            if isinstance(choice, dict):
                self._add(cast("Json", choice))
        if self._shows_usage or held.get("usage") is None or found:
            return True
        return held.get("error") is not None

    def _add(self, choice: Json) -> None:
        index = choice.get("index")
        message = self._messages.setdefault(index if isinstance(index, int) else 0, {})
        if choice.get("finish_reason"):
            self.is_complete = True
            self._note_end(choice["finish_reason"])
        delta = choice.get("delta")
        for name, value in (cast("Json", delta) if isinstance(delta, dict) else {}).items():
            if name == "tool_calls" and isinstance(value, list):
                _add_calls(message.setdefault("tool_calls", []), cast("list[Any]", value))
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
            for call in cast("list[Any]", message.get("tool_calls") or []):
                held = cast("Json", call) if isinstance(call, dict) else {}
                inner: Json = held.get("function") or held.get("custom") or {}
                arguments = read_arguments(inner.get("arguments", inner.get("input")))
                name = inner.get("name")
                found.append({"id": held.get("id"), "name": name, "arguments": arguments})
        return found


def _add_calls(calls: list[Json], deltas: list[Any]) -> None:
    for delta in deltas:
        if not isinstance(delta, dict):
            continue
        held = cast("Json", delta)
        index = held.get("index")
        at = index if isinstance(index, int) and 0 <= index < 1_000 else len(calls)
        while len(calls) <= at:
            calls.append({"type": "function", "function": {"name": "", "arguments": ""}})
        if held.get("id"):
            calls[at]["id"] = held["id"]
        inner = held.get("function")
        for name, value in (cast("Json", inner) if isinstance(inner, dict) else {}).items():
            if isinstance(value, str):
                calls[at]["function"][name] = calls[at]["function"].get(name, "") + value
