"""Anthropic's messages."""

from __future__ import annotations

from typing import Any, cast

from cornerman.meter.dialects.base import (
    Bound,
    Json,
    Provider,
    Reader,
    RequestRefusedError,
    anthropic_refusal,
    input_bound,
    list_of,
    object_of,
    read_arguments,
    read_usage,
    require_messages,
    require_model,
    require_own_tools,
    tier_factor,
    whole_number,
)


class MessagesDialect:
    """`POST /v1/messages`."""

    path = "/v1/messages"
    provider: Provider = "anthropic"
    is_embedding = False

    def bound(self, body: Json, size: int, most_output: int) -> Bound:
        model = require_model(body)
        messages = require_messages(body)
        for name in ("mcp_servers", "container"):
            if body.get(name):
                raise RequestRefusedError(
                    f"{name}: what it brings in cannot be bounded from the request.",
                    code="unbounded_request",
                )
        require_own_tools(body, {"custom"})
        limit = whole_number(body, "max_tokens")
        if limit is None:
            raise RequestRefusedError("max_tokens is required.", code="max_tokens")
        return Bound(
            model=model,
            input_tokens=input_bound(body, size, len(messages)),
            output_tokens=limit,
            body=body,
            factor=tier_factor(body),
        )

    def reader(self, asked: Json) -> MessagesReader:
        return MessagesReader()

    def messages(self, body: Json) -> tuple[list[Any], list[Any]]:
        items = list(cast("list[Any]", body.get("messages") or []))
        if body.get("system"):
            items = [{"role": "system", "content": body["system"]}, *items]
        return items, list(body.get("tools") or [])

    def refusal(self, status: int, code: str, message: str) -> Json:
        return anthropic_refusal(status, code, message)


class MessagesReader(Reader):
    """Reads a message, or puts one together from its events."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: Json = {}
        self._blocks: list[Json] = []

    def whole(self, body: Any) -> None:
        held = object_of(body)
        self._count(held.get("usage"))
        content = held.get("content")
        if not isinstance(content, list):
            self.error = f"The answer has no content: {str(held.get('error') or body)[:300]}"
            return
        self._note_end(held.get("stop_reason"))
        self._blocks = [object_of(block) for block in list_of(content) if isinstance(block, dict)]
        self.is_complete = True

    def _note_end(self, reason: Any) -> None:
        self.finish_reason = "length" if reason == "max_tokens" else reason

    def _count(self, usage: Any) -> None:
        # The counts of a later event stand for all until then.
        found = object_of(usage)
        self._counts |= {name: value for name, value in found.items() if value is not None}
        self.usage = read_usage(
            self._counts, "input_tokens", "output_tokens", "", cached_beside=True
        )

    def event(self, data: Any) -> bool:
        held = object_of(data)
        match held.get("type"):
            case "message_start":
                self._count(object_of(held.get("message")).get("usage"))
            case "content_block_start":
                self._blocks.append(dict(object_of(held.get("content_block"))))
            case "content_block_delta" if self._blocks:
                _add(self._blocks[-1], held.get("delta"))
            case "message_delta":
                self._count(held.get("usage"))
                self._note_end(object_of(held.get("delta")).get("stop_reason"))
            case "message_stop":
                self.is_complete = True
            case "error":
                self.error = str(held.get("error"))[:300]
            case _:
                pass
        return True

    def response(self) -> Any:
        if not self._blocks:
            return None
        blocks = [{k: v for k, v in block.items() if k != "partial"} for block in self._blocks]
        for block, raw in zip(blocks, self._blocks, strict=True):
            if "partial" in raw:
                block["input"] = read_arguments(raw["partial"])
        return {"role": "assistant", "content": blocks}

    def tool_calls(self) -> list[Json]:
        said = self.response()
        blocks: list[Json] = [] if said is None else said["content"]
        return [
            {"id": block.get("id"), "name": block.get("name"), "arguments": block.get("input")}
            for block in blocks
            if block.get("type") == "tool_use"
        ]


def _add(block: Json, delta: Any) -> None:
    held = object_of(delta)
    for source, target in (("text", "text"), ("thinking", "thinking"), ("partial_json", "partial")):
        if isinstance(held.get(source), str):
            block[target] = block.get(target, "") + held[source]
