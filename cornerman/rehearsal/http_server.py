"""The endpoint's addresses: chats, responses, messages, embeddings and models, all simulated.

HTTP/1.1 on asyncio's bare protocol: keep-alive, one answer at a time a connection.

Streams and frameworks cost several times the processor time of the answers themselves, and this
server shares its machine with the work that it is there to rehearse.
"""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from cornerman.rehearsal.chat_form import SIMULATED, completion_events, completion_of
from cornerman.rehearsal.messages_form import (
    chat_of_message,
    message_error,
    message_events,
    message_of,
)
from cornerman.rehearsal.reply import Reply, make_reply
from cornerman.rehearsal.request import (
    MODEL_PREFIX,
    ROLES,
    ChatRequest,
    RefusedRequestError,
    parse_body,
    parse_request,
)
from cornerman.rehearsal.responses_form import chat_of_response, response_events, response_of
from cornerman.rehearsal.words import Chance, Timing, count_tokens


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
    elif route in _FORMS:
        allowed, answer = "POST", lambda: _chat(_FORMS[route], role, body, seed, timing)
    elif route == "/v1/embeddings":
        allowed, answer = "POST", lambda: _embed(body)
    else:
        served = ", ".join((*_FORMS, "/v1/embeddings", "/v1/models"))
        message = f"Unknown path {path[:200]!r}; served are {served}."
        return _json_answer(404, error_body(message, code="unknown_url"))
    if method != allowed:
        return _json_answer(405, error_body(f"Use {allowed} here, not {method[:20]}."))
    return answer()


@dataclass(frozen=True)
class _Form:
    """How one dialect asks, answers, streams and refuses."""

    chat: Callable[[dict[str, Any]], dict[str, Any]]
    whole: Callable[[Reply], dict[str, Any]]
    events: Callable[[dict[str, Any], ChatRequest], bytes]
    error: Callable[[str, str | None], dict[str, Any]]


_FORMS = {
    "/v1/chat/completions": _Form(
        lambda body: body,
        completion_of,
        lambda whole, request: completion_events(whole, request.include_usage),
        error_body,
    ),
    "/v1/responses": _Form(
        chat_of_response, response_of, lambda whole, _: response_events(whole), error_body
    ),
    "/v1/messages": _Form(
        chat_of_message,
        message_of,
        lambda whole, _: message_events(whole),
        lambda message, _: message_error(message),
    ),
}


def _chat(form: _Form, role: str | None, body: bytes, seed: int, timing: Timing) -> Answer:
    try:
        request = parse_request(form.chat(parse_body(body)), role)
    except RefusedRequestError as error:
        return _json_answer(400, form.error(str(error), error.param))
    whole = form.whole(make_reply(request, seed))
    delay = timing.delay_seconds(request.digest)
    if request.stream:
        return Answer(200, form.events(whole, request), "text/event-stream", delay)
    return _json_answer(200, whole, delay)


_DIMENSIONS = 8


def _embed(body: bytes) -> Answer:
    """Vectors that follow from the texts alone, of few dimensions."""
    try:
        fields = parse_body(body)
    except RefusedRequestError as error:
        return _json_answer(400, error_body(str(error), error.param))
    given = fields.get("input")
    texts = [str(text) for text in cast("list[Any]", given)] if isinstance(given, list) else [given]
    if not all(isinstance(text, str) and text for text in texts):
        return _json_answer(400, error_body("input must be texts that are not empty.", "input"))
    vectors = [[Chance(text).draw(n) for n in range(_DIMENSIONS)] for text in texts]
    tokens = sum(count_tokens(str(text)) for text in texts)
    data = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(vectors)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    model = f"{MODEL_PREFIX}agent"
    return _json_answer(200, {"object": "list", "model": model, "data": data, "usage": usage})


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
