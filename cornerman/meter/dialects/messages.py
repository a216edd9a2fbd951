"""Anthropic's messages."""

from __future__ import annotations

from typing import Any, cast

from cornerman.clients.chat_answer import Usage
from cornerman.meter.dialects.base import (
    Bound,
    Json,
    Provider,
    RequestRefusedError,
    anthropic_refusal,
    input_bound,
    read_arguments,
    read_usage,
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
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise RequestRefusedError("messages must be a list that is not empty.", code="messages")
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
            input_tokens=input_bound(body, size, len(cast("list[Any]", messages))),
            output_tokens=limit,
            streams=bool(body.get("stream")),
            body=body,
            factor=tier_factor(body),
        )

    def reader(self, bound: Bound, asked: Json) -> MessagesReader:
        return MessagesReader()

    def messages(self, body: Json) -> tuple[list[Any], list[Any]]:
        items = list(cast("list[Any]", body.get("messages") or []))
        if body.get("system"):
            items = [{"role": "system", "content": body["system"]}, *items]
        return items, list(body.get("tools") or [])

    def refusal(self, status: int, code: str, message: str) -> Json:
        return anthropic_refusal(status, code, message)


class MessagesReader:
    """Reads a message, or puts one together from its events."""

    def __init__(self) -> None:
        self.is_complete = False
        self.finish_reason: str | None = None
        self.error: str | None = None
        self._counts: Json = {}
        self._blocks: list[Json] = []

    @property
    def usage(self) -> Usage | None:
        return read_usage(self._counts, "input_tokens", "output_tokens", "", cached_beside=True)

    def whole(self, body: Any) -> None:
        held = cast("Json", body) if isinstance(body, dict) else {}
        self._count(held.get("usage"))
        content = held.get("content")
        if not isinstance(content, list):
            self.error = f"The answer has no content: {str(held.get('error') or body)[:300]}"
            return
        self._note_end(held.get("stop_reason"))
        self._blocks = [cast("Json", b) for b in cast("list[Any]", content) if isinstance(b, dict)]
        self.is_complete = True

    def _note_end(self, reason: Any) -> None:
        self.finish_reason = "length" if reason == "max_tokens" else reason

    def _count(self, usage: Any) -> None:
        # The counts of a later event stand for all until then.
        if isinstance(usage, dict):
            found = cast("Json", usage)
            self._counts |= {name: value for name, value in found.items() if value is not None}

    def event(self, data: Any) -> bool:
        held = cast("Json", data) if isinstance(data, dict) else {}
        match held.get("type"):
            case "message_start":
                message = held.get("message")
                self._count(cast("Json", message).get("usage") if isinstance(message, dict) else 0)
            case "content_block_start":
                self._blocks.append(dict(held.get("content_block") or {}))
            case "content_block_delta" if self._blocks:
                _add(self._blocks[-1], held.get("delta"))
            case "message_delta":
                self._count(held.get("usage"))
                delta = held.get("delta")
                self._note_end(cast("Json", delta).get("stop_reason") if delta else None)
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
    if not isinstance(delta, dict):
        return
    held = cast("Json", delta)
    for source, target in (("text", "text"), ("thinking", "thinking"), ("partial_json", "partial")):
        if isinstance(held.get(source), str):
            block[target] = block.get(target, "") + held[source]
