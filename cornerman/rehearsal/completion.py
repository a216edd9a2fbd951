"""Completion objects and stream chunks in OpenAI's form, every one marked as simulated."""

from __future__ import annotations

import json
from typing import Any

from cornerman.rehearsal.request import MODEL_PREFIX, ROLES, ChatRequest
from cornerman.rehearsal.roles import reply_to
from cornerman.rehearsal.words import count_prompt_tokens, count_tokens, cut_text, split_for_stream

SIMULATED = "simulated"


def complete(request: ChatRequest, server_seed: int) -> dict[str, Any]:
    """The whole completion object; `created` is 0 since a reply depends on no clock."""
    text, was_cut = cut_text(reply_to(request, server_seed), request.max_tokens)
    prompt_tokens = count_prompt_tokens(message.content for message in request.messages)
    completion_tokens = count_tokens(text)
    return {
        "id": f"chatcmpl-rehearsal-{request.digest}",
        "object": "chat.completion",
        "created": 0,
        "model": f"{MODEL_PREFIX}{request.role}",
        "system_fingerprint": SIMULATED,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": None,
                "finish_reason": "length" if was_cut else "stop",
            }
        ],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
    }


def stream_events(completion: dict[str, Any], include_usage: bool) -> bytes:
    """The same completion as server-sent events, closed by `[DONE]`."""
    choice = completion["choices"][0]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in split_for_stream(choice["message"]["content"])]
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


def list_models() -> dict[str, Any]:
    """The answer of `GET /v1/models`: one model for each role."""
    models = [
        {"id": f"{MODEL_PREFIX}{role}", "object": "model", "created": 0, "owned_by": SIMULATED}
        for role in ROLES
    ]
    return {"object": "list", "data": models}


def error_body(message: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """An error in OpenAI's form."""
    details = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return {"error": details}
