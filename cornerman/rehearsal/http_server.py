"""Completion objects and stream chunks in OpenAI's form, every one marked as simulated.

HTTP/1.1 on asyncio's bare protocol: keep-alive, one answer at a time a connection.

Streams and frameworks cost several times the processor time of the answers themselves, and this
server shares its machine with the work that it is there to rehearse.
"""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from dataclasses import dataclass
from typing import Any

from cornerman.rehearsal.request import (
    MODEL_PREFIX,
    ROLES,
    ChatRequest,
    RefusedRequestError,
    parse_request,
)
from cornerman.rehearsal.roles import reply_to
from cornerman.rehearsal.words import (
    Timing,
    count_prompt_tokens,
    count_tokens,
    cut_text,
    split_for_stream,
)

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


MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 64 * 1024 * 1024

_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed",
            411: "Length Required", 413: "Content Too Large",
            431: "Request Header Fields Too Large", 500: "Internal Server Error"}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """An answer ready to be written, and how long to wait before that."""

    status: int
    body: bytes
    content_type: str = "application/json"
    delay_seconds: float = 0.0


def answer_request(
    method: str, path: str, role: str | None, body: bytes, seed: int, timing: Timing
) -> Answer:
    """The answer to a request: a pure function of its arguments."""
    route = path.split("?", 1)[0].rstrip("/")
    if route == "/v1/models":
        allowed, answer = "GET", lambda: _json_answer(200, list_models())
    elif route == "/v1/chat/completions":
        allowed, answer = "POST", lambda: _chat(role, body, seed, timing)
    else:
        message = f"Unknown path {path[:200]!r}; served are /v1/chat/completions and /v1/models."
        return _json_answer(404, error_body(message, code="unknown_url"))
    if method != allowed:
        return _json_answer(405, error_body(f"Use {allowed} here, not {method[:20]}."))
    return answer()


def _chat(role: str | None, body: bytes, seed: int, timing: Timing) -> Answer:
    try:
        request = parse_request(body, role)
    except RefusedRequestError as error:
        return _json_answer(400, error_body(str(error), error.param))
    completion = complete(request, seed)
    delay = timing.delay_seconds(request.digest)
    if request.stream:
        events = stream_events(completion, request.include_usage)
        return Answer(200, events, "text/event-stream", delay)
    return _json_answer(200, completion, delay)


def _json_answer(status: int, value: Any, delay_seconds: float = 0.0) -> Answer:
    return Answer(status, json.dumps(value).encode(), delay_seconds=delay_seconds)


class HttpConnection(asyncio.Protocol):
    """One client connection."""

    def __init__(self, seed: int, timing: Timing) -> None:
        self._seed = seed
        self._timing = timing
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._busy = False
        self._continued = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._busy:
            self._read_next()

    def _read_next(self) -> None:
        """Answer the next request in the buffer once it is there in full."""
        end = self._buffer.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES)
        if end < 0:
            if len(self._buffer) >= MAX_HEAD_BYTES:
                self._refuse(431, "The request's head is too large.")
            return
        line, headers = _parse_head(bytes(self._buffer[:end]))
        length = headers.get("content-length", "0")
        if len(line) != 3 or not length.isdecimal() or len(length) > 12:
            self._refuse(400, "The request's head cannot be read.")
        elif "transfer-encoding" in headers:
            self._refuse(411, "Send a Content-Length; chunked bodies are not read here.")
        elif int(length) > MAX_BODY_BYTES:
            self._refuse(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
        else:
            self._read_body(line, headers, end + 4, int(length))

    def _read_body(self, line: list[str], headers: dict[str, str], start: int, length: int) -> None:
        if len(self._buffer) < start + length:
            if headers.get("expect", "").lower() == "100-continue" and not self._continued:
                self._continued = True
                self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        body = bytes(self._buffer[start : start + length])
        del self._buffer[: start + length]
        self._continued = False
        self._busy = True
        answer = self._answer_safely(line[0], line[1], headers.get("x-cornerman-role"), body)
        closes = headers.get("connection", "").lower() == "close" or line[2] == "HTTP/1.0"
        if answer.delay_seconds > 0:
            loop = asyncio.get_running_loop()
            loop.call_later(answer.delay_seconds, self._send, answer, closes)
        else:
            self._send(answer, closes)

    def _answer_safely(self, method: str, path: str, role: str | None, body: bytes) -> Answer:
        try:
            return answer_request(method, path, role, body, self._seed, self._timing)
        except Exception as error:  # noqa: BLE001 - a fault in one answer must not end the server
            traceback.print_exc(file=sys.stderr)
            message = f"The rehearsal endpoint failed: {type(error).__name__}: {error}"
            return _json_answer(500, error_body(message))

    def _refuse(self, status: int, message: str) -> None:
        # What follows in the buffer cannot be told apart any more, so the connection ends.
        self._busy = True
        self._send(_json_answer(status, error_body(message)), closes=True)

    def _send(self, answer: Answer, closes: bool) -> None:
        head = (
            f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}\r\n"
            f"content-type: {answer.content_type}\r\ncontent-length: {len(answer.body)}\r\n"
            "x-cornerman-simulated: true\r\n"
            f"connection: {'close' if closes else 'keep-alive'}\r\n\r\n"
        )
        self._write(head.encode() + answer.body)
        if self._transport is None:
            return
        if closes:
            self._transport.close()
            return
        self._busy = False
        if self._buffer:
            # By way of the loop: a client with many requests in one packet must not recurse.
            asyncio.get_running_loop().call_soon(self._resume)

    def _resume(self) -> None:
        if not self._busy and self._transport is not None:
            self._read_next()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


def _parse_head(raw: bytes) -> tuple[list[str], dict[str, str]]:
    """The request line's three parts, and the headers by lower-case name."""
    first, *lines = raw.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return first.split(" "), {name.strip().lower(): value.strip() for name, _, value in pairs}
