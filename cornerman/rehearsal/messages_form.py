"""Anthropic's messages: their requests as chats, and replies in their form."""

from __future__ import annotations

import json
from typing import Any, cast

from cornerman.rehearsal.reply import Reply
from cornerman.rehearsal.request import MODEL_PREFIX
from cornerman.rehearsal.words import split_for_stream


def chat_of_message(body: dict[str, Any]) -> dict[str, Any]:
    """The chat request that asks the same."""
    messages = list[dict[str, Any]]()
    if body.get("system"):
        messages.append({"role": "system", "content": body["system"]})
    given = body.get("messages")
    for item in cast("list[Any]", given) if isinstance(given, list) else []:
        held = cast("dict[str, Any]", item) if isinstance(item, dict) else {}
        content = held.get("content")
        parts = [
            cast("dict[str, Any]", part)
            for part in (cast("list[Any]", content) if isinstance(content, list) else [])
            if isinstance(part, dict)
        ]
        results = [part for part in parts if part.get("type") == "tool_result"]
        messages += [{"role": "tool", "content": _text_of(part)} for part in results]
        texts = [part for part in parts if part.get("type") == "text"]
        if texts or not parts or held.get("role") == "assistant":
            said = texts if parts else content
            messages.append({"role": held.get("role"), "content": said})
    choice = cast("dict[str, Any]", body.get("tool_choice") or {})
    kinds = {"any": "required", "none": "none", "auto": "auto"}
    chat = {
        "model": body.get("model"),
        "messages": messages,
        "max_tokens": body.get("max_tokens"),
        "temperature": body.get("temperature"),
        "stream": body.get("stream"),
        "tools": body.get("tools"),
        "tool_choice": choice.get("name") or kinds.get(str(choice.get("type"))),
    }
    return {name: value for name, value in chat.items() if value is not None}


def _text_of(part: dict[str, Any]) -> str:
    content = part.get("content")
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def message_of(reply: Reply) -> dict[str, Any]:
    """The whole message object."""
    content: list[dict[str, Any]] = [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}
        for call in reply.calls
    ]
    if not content:
        content = [{"type": "text", "text": reply.text}]
    stopped = "max_tokens" if reply.was_cut else "tool_use" if reply.calls else "end_turn"
    return {
        "id": f"msg_rehearsal_{reply.digest}",
        "type": "message",
        "role": "assistant",
        "model": f"{MODEL_PREFIX}{reply.role}",
        "content": content,
        "stop_reason": stopped,
        "stop_sequence": None,
        "usage": {
            "input_tokens": reply.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": reply.output_tokens,
        },
    }


def message_events(message: dict[str, Any]) -> bytes:
    """The same message as server-sent events."""
    counts = message["usage"]
    begun = {**message, "content": [], "stop_reason": None, "usage": {**counts, "output_tokens": 1}}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": begun}]
    for index, block in enumerate(message["content"]):
        is_text = block["type"] == "text"
        start = {**block, "text": ""} if is_text else {**block, "input": {}}
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        if is_text:
            deltas = [{"type": "text_delta", "text": t} for t in split_for_stream(block["text"])]
        else:
            deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
        events += [{"type": "content_block_delta", "index": index, "delta": d} for d in deltas]
        events.append({"type": "content_block_stop", "index": index})
    ended = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    usage = {"output_tokens": counts["output_tokens"]}
    events.append({"type": "message_delta", "delta": ended, "usage": usage})
    events.append({"type": "message_stop"})
    return "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events).encode()


def message_error(message: str) -> dict[str, Any]:
    """An error in Anthropic's form."""
    return {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
