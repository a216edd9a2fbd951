"""OpenAI's responses."""

from __future__ import annotations

import json
from typing import Any, cast

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
    read_usage,
    require_model,
    require_own_tools,
    tier_factor,
    whole_number,
)

_LIMIT = "max_output_tokens"
# Their text is kept by the provider, so that nothing in the request bounds it.
_KEPT_ELSEWHERE = ("previous_response_id", "conversation", "prompt")
_ENDS = {"response.completed", "response.incomplete", "response.failed"}
_CALLS = {"function_call", "custom_tool_call"}


class ResponsesDialect(OpenAIDialect):
    """`POST /v1/responses`."""

    path = "/v1/responses"

    def bound(self, body: Json, size: int, most_output: int) -> Bound:
        model = require_model(body)
        for name in _KEPT_ELSEWHERE:
            if body.get(name) is not None:
                raise RequestRefusedError(
                    f"{name} brings in text that the provider keeps, so that the request cannot "
                    "be bounded; send the items themselves as input.",
                    code="unbounded_request",
                )
        if body.get("background"):
            raise RequestRefusedError(
                "background: an answer that comes after its call has ended cannot be booked; "
                "leave it out.",
                code="unbounded_request",
            )
        require_own_tools(body, {"function", "custom"})
        limit, sent = whole_number(body, _LIMIT), dict(body)
        if limit is None:
            sent[_LIMIT] = most_output
        given = body.get("input")
        items = len(cast("list[Any]", given)) if isinstance(given, list) else 1
        return Bound(
            model=model,
            input_tokens=input_bound(body, size, items),
            output_tokens=limit or most_output,
            body=sent,
            is_changed=limit is None,
            factor=tier_factor(body),
        )

    def reader(self, asked: Json) -> ResponsesReader:
        return ResponsesReader()

    def messages(self, body: Json) -> tuple[list[Any], list[Any]]:
        given, instructions = body.get("input"), body.get("instructions")
        items = list(list_of(given))
        if isinstance(given, str):
            items = [{"role": "user", "content": given}]
        if instructions:
            items = [{"role": "system", "content": instructions}, *items]
        return items, list(body.get("tools") or [])


class ResponsesReader(Reader):
    """Reads a response; a stream ends with an event that holds all of it."""

    def __init__(self) -> None:
        super().__init__()
        self._items: list[Any] = []

    def whole(self, body: Any) -> None:
        held = object_of(body)
        self.usage = read_usage(
            held.get("usage"), "input_tokens", "output_tokens", "input_tokens_details"
        )
        output = held.get("output")
        if isinstance(output, list):
            self._items = cast("list[Any]", output)
        details = held.get("incomplete_details")
        why = object_of(details).get("reason")
        if '"type": "refusal"' in json.dumps(self._items):
            why = "refusal"
        self.finish_reason = "length" if why == "max_output_tokens" else why
        if held.get("error") or not isinstance(output, list):
            self.error = f"The answer has no output: {str(held.get('error') or body)[:300]}"
        else:
            self.is_complete = True

    def event(self, data: Any) -> bool:
        held = object_of(data)
        kind = held.get("type")
        if kind == "error" or held.get("error"):
            self.error = str(held.get("message") or held.get("error") or held)[:300]
        elif kind in _ENDS:
            self.whole(held.get("response"))
        elif kind == "response.output_item.done" and not self.is_complete:
            self._items.append(held.get("item"))
        return True

    def response(self) -> Any:
        return self._items or None

    def tool_calls(self) -> list[Json]:
        items = [cast("Json", item) for item in self._items if isinstance(item, dict)]
        return [
            {
                "id": item.get("call_id"),
                "name": item.get("name"),
                "arguments": read_arguments(item.get("arguments", item.get("input"))),
            }
            for item in items
            if item.get("type") in _CALLS
        ]
