"""Chat completions and their chunks in OpenAI's form, every one marked as simulated."""

from __future__ import annotations

import json
from typing import Any

from cornerman.rehearsal.reply import Reply
from cornerman.rehearsal.request import MODEL_PREFIX
from cornerman.rehearsal.words import split_for_stream

SIMULATED = "simulated"


def completion_of(reply: Reply) -> dict[str, Any]:
    """The whole completion object; `created` is 0 since a reply depends on no clock."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None}
    if reply.calls:
        message["content"] = None
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.json},
            }
            for call in reply.calls
        ]
    stopped = "length" if reply.was_cut else "tool_calls" if reply.calls else "stop"
    return {
        "id": f"chatcmpl-rehearsal-{reply.digest}",
        "object": "chat.completion",
        "created": 0,
        "model": f"{MODEL_PREFIX}{reply.role}",
        "system_fingerprint": SIMULATED,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": stopped}],
        "usage": {
            "prompt_tokens": reply.input_tokens,
            "completion_tokens": reply.output_tokens,
            "total_tokens": reply.input_tokens + reply.output_tokens,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
    }


def completion_events(completion: dict[str, Any], include_usage: bool) -> bytes:
    """The same completion as server-sent events, closed by `[DONE]`."""
    choice = completion["choices"][0]
    message = choice["message"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in split_for_stream(message["content"] or "")]
    for index, call in enumerate(message.get("tool_calls", ())):
        deltas.append({"tool_calls": [{"index": index, **call}]})
    chunks = [_chunk(completion, [_delta(delta, None)]) for delta in deltas]
    chunks.append(_chunk(completion, [_delta({}, choice["finish_reason"])]))
    if include_usage:
        chunks = [{**chunk, "usage": None} for chunk in chunks]
        chunks.append({**_chunk(completion, []), "usage": completion["usage"]})
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return ("".join(lines) + "data: [DONE]\n\n").encode()


def _chunk(completion: dict[str, Any], choices: list[dict[str, Any]]) -> dict[str, Any]:
    kept = {name: completion[name] for name in ("id", "created", "model", "system_fingerprint")}
    return {**kept, "object": "chat.completion.chunk", "choices": choices}


def _delta(delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
