"""OpenAI's responses: their requests as chats, and replies in their form."""

from __future__ import annotations

import json
from typing import Any, cast

from cornerman.rehearsal.reply import Reply
from cornerman.rehearsal.request import MODEL_PREFIX
from cornerman.rehearsal.words import split_for_stream


def chat_of_response(body: dict[str, Any]) -> dict[str, Any]:
    """The chat request that asks the same."""
    messages = list[dict[str, Any]]()
    if body.get("instructions"):
        messages.append({"role": "system", "content": body["instructions"]})
    given = body.get("input")
    items: list[Any] = cast("list[Any]", given) if isinstance(given, list) else []
    if isinstance(given, str):
        items = [{"role": "user", "content": given}]
    for item in items:
        held = cast("dict[str, Any]", item) if isinstance(item, dict) else {}
        kind = held.get("type")
        if kind == "function_call":
            messages.append({"role": "assistant", "content": ""})
        elif kind == "function_call_output":
            messages.append({"role": "tool", "content": str(held.get("output"))})
        elif "role" in held:
            messages.append({"role": held["role"], "content": held.get("content")})
    wanted = cast("dict[str, Any]", body.get("text") or {}).get("format") or {}
    chat = {
        "model": body.get("model"),
        "messages": messages,
        "max_tokens": body.get("max_output_tokens"),
        "temperature": body.get("temperature"),
        "stream": body.get("stream"),
        "tools": body.get("tools"),
        "tool_choice": body.get("tool_choice"),
    }
    if wanted.get("type") == "json_schema":
        chat["response_format"] = {"type": "json_schema", "json_schema": wanted}
    return {name: value for name, value in chat.items() if value is not None}


def response_of(reply: Reply) -> dict[str, Any]:
    """The whole response object."""
    output: list[dict[str, Any]] = [
        {
            "type": "function_call",
            "id": f"fc_{call.id}",
            "call_id": call.id,
            "name": call.name,
            "arguments": call.json,
            "status": "completed",
        }
        for call in reply.calls
    ]
    if not output:
        output = [
            {
                "type": "message",
                "id": f"msg_{reply.digest}",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": reply.text, "annotations": []}],
            }
        ]
    return {
        "id": f"resp_rehearsal_{reply.digest}",
        "object": "response",
        "created_at": 0,
        "model": f"{MODEL_PREFIX}{reply.role}",
        "status": "incomplete" if reply.was_cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if reply.was_cut else None,
        "error": None,
        "instructions": None,
        "metadata": {"simulated": "true"},
        "output": output,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": reply.input_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": reply.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": reply.input_tokens + reply.output_tokens,
        },
    }


def response_events(response: dict[str, Any]) -> bytes:
    """The same response as server-sent events."""
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for index, item in enumerate(response["output"]):
        events += _item_events(index, item)
    events.append({"type": "response.completed", "response": response})
    lines = [
        f"event: {event['type']}\ndata: {json.dumps({**event, 'sequence_number': number})}\n\n"
        for number, event in enumerate(events)
    ]
    return "".join(lines).encode()


def _item_events(index: int, item: dict[str, Any]) -> list[dict[str, Any]]:
    at: dict[str, Any] = {"output_index": index, "item_id": item["id"]}
    shown = {**item, "status": "in_progress"}
    if item["type"] == "function_call":
        name, delta = "response.function_call_arguments", item["arguments"]
        return [
            {"type": "response.output_item.added", "output_index": index,
             "item": {**shown, "arguments": ""}},
            {"type": f"{name}.delta", **at, "delta": delta},
            {"type": f"{name}.done", **at, "name": item["name"], "arguments": delta},
            {"type": "response.output_item.done", "output_index": index, "item": item},
        ]  # fmt: skip
    part = item["content"][0]
    inner = {**at, "content_index": 0}
    empty = {**part, "text": ""}
    return [
        {"type": "response.output_item.added", "output_index": index,
         "item": {**shown, "content": []}},
        {"type": "response.content_part.added", **inner, "part": empty},
        *(
            {"type": "response.output_text.delta", **inner, "delta": piece, "logprobs": []}
            for piece in split_for_stream(part["text"])
        ),
        {"type": "response.output_text.done", **inner, "text": part["text"], "logprobs": []},
        {"type": "response.content_part.done", **inner, "part": part},
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]  # fmt: skip
