"""A scripted OpenAI-compatible chat server on loopback, for tests and benchmarks.

    async with LLMStandin(lambda request, n: Reply(text="hi")) as server:
        ...  # point a client at server.base_url

`python tests/support/llm_standin.py --port 0 --latency-ms 100` runs it as a process: it prints its
base URL and answers `GET /stats`. Raw asyncio protocol and stdlib only, because a benchmark must
measure the client and not this server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

REASONS = {200: "OK", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


@dataclass
class Reply:
    """What the server does with one request.

    Args:
        text: The answer's content.
        status: Over 299: an error answer, whose message is `text`.
        headers: Sent besides the usual ones.
        body: Raw bytes in place of the answer.
        delay: Seconds before the answer.
        cut_after: Close the connection after so many bytes of the body.
        drop: Close the connection without a word.
        hang: Never answer.
        usage: Input and output tokens; None: estimated from the text.
        cached_tokens: How many input tokens the usage calls cached.
        no_usage: Leave the usage out.
        finish_reason: None ends a stream cleanly but early.
    """

    text: str = "ok"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    delay: float = 0.0
    cut_after: int | None = None
    drop: bool = False
    hang: bool = False
    usage: tuple[int, int] | None = None
    cached_tokens: int = 0
    no_usage: bool = False
    finish_reason: str | None = "stop"


Script = Callable[[dict[str, Any], int], Reply]


@dataclass(frozen=True)
class Recorded:
    """One request as it came. Header names are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    at: float


def echo(request: dict[str, Any], n: int) -> Reply:
    """Answer with the last message."""
    messages = request.get("messages") or [{}]
    return Reply(text=str(messages[-1].get("content", "")))


def estimate_usage(request: dict[str, Any], text: str) -> tuple[int, int]:
    """Four bytes a token, and four tokens a message: close to what real tokenizers say."""
    messages = request.get("messages") or []
    size = sum(len(str(m.get("content", "")).encode()) for m in messages)
    return size // 4 + 4 * len(messages) + 3, max(1, len(text.encode()) // 4)


class LLMStandin:
    """The server. Counts what it gets; `requests` holds the requests when `record` is on.

    Args:
        script: Called with the request's body and how many came before it.
        latency: Seconds that every answer takes on top of its own delay.
        record: Off in process mode, so that memory stays flat.
    """

    def __init__(
        self, script: Script = echo, *, latency: float = 0.0, record: bool = True, port: int = 0
    ) -> None:
        self.script = script
        self.latency = latency
        self.record = record
        self.port = port
        self.requests: list[Recorded] = []
        self.total = 0
        self.in_flight = 0
        self.max_in_flight = 0
        self.per_model: Counter[str] = Counter()
        self.input_tokens = 0
        self.output_tokens = 0
        self.connections: set[_Connection] = set()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def last(self) -> Recorded:
        return self.requests[-1]

    def stats(self) -> dict[str, Any]:
        return {
            "requests": self.total,
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "per_model": dict(self.per_model),
        }

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self, loop), "127.0.0.1", self.port, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for connection in list(self.connections):
            connection.close()

    async def __aenter__(self) -> LLMStandin:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    def answer(self, recorded: Recorded) -> Reply:
        """Count the request and ask the script."""
        n = self.total
        self.total += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        self.per_model[str(recorded.body.get("model"))] += 1
        if self.record:
            self.requests.append(recorded)
        return self.script(recorded.body, n)

    def body_of(self, reply: Reply, request: dict[str, Any]) -> tuple[bytes, str]:
        """Return the answer's body and content type."""
        if reply.body is not None:
            return reply.body, "application/json"
        if reply.status >= 300:
            error = {"error": {"message": reply.text, "type": "scripted", "code": None}}
            return json.dumps(error).encode(), "application/json"
        used = reply.usage or estimate_usage(request, reply.text)
        self.input_tokens += used[0]
        self.output_tokens += used[1]
        usage = {
            "prompt_tokens": used[0],
            "completion_tokens": used[1],
            "total_tokens": sum(used),
            "prompt_tokens_details": {"cached_tokens": reply.cached_tokens},
        }
        if request.get("stream"):
            return _stream_body(reply, request, usage), "text/event-stream"
        return _plain_body(reply, request, usage), "application/json"


def _plain_body(reply: Reply, request: dict[str, Any], usage: dict[str, Any]) -> bytes:
    message = {"role": "assistant", "content": reply.text}
    answer: dict[str, Any] = {
        "id": "chatcmpl-standin",
        "object": "chat.completion",
        "created": 1767225600,
        "model": request.get("model"),
        "choices": [{"index": 0, "message": message, "finish_reason": reply.finish_reason}],
    }
    if not reply.no_usage:
        answer["usage"] = usage
    return json.dumps(answer).encode()


def _stream_body(reply: Reply, request: dict[str, Any], usage: dict[str, Any]) -> bytes:
    def chunk(choices: list[dict[str, Any]], **more: Any) -> bytes:
        head = {"id": "chatcmpl-standin", "object": "chat.completion.chunk", "created": 1767225600}
        data = {**head, "model": request.get("model"), "choices": choices, **more}
        return b"data: " + json.dumps(data).encode() + b"\n\n"

    words = [reply.text[i : i + 8] for i in range(0, len(reply.text), 8)]
    parts = [
        chunk([{"index": 0, "delta": {"content": word}, "finish_reason": None}]) for word in words
    ]
    if reply.finish_reason is None:
        return b"".join(parts)
    parts.append(chunk([{"index": 0, "delta": {}, "finish_reason": reply.finish_reason}]))
    if not reply.no_usage:
        parts.append(chunk([], usage=usage))
    return b"".join(parts) + b"data: [DONE]\n\n"


class _Connection(asyncio.Protocol):
    def __init__(self, server: LLMStandin, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self.loop = loop
        self.buffer = bytearray()
        self.busy = False
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.connections.discard(self)
        if self.timer:
            self.timer.cancel()
        self._done()

    def close(self) -> None:
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0 or self.busy:
            return
        first, *lines = bytes(self.buffer[:end]).decode("latin-1").split("\r\n")
        headers = {k.strip().lower(): v.strip() for k, v in (x.split(":", 1) for x in lines)}
        length = int(headers.get("content-length", 0))
        if len(self.buffer) < end + 4 + length:
            return
        body = bytes(self.buffer[end + 4 : end + 4 + length])
        del self.buffer[: end + 4 + length]
        method, path, _ = first.split(" ", 2)
        self._request(method, path, headers, body)

    def _request(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        if method == "GET":
            self._write(200, {}, json.dumps(self.server.stats()).encode(), "application/json")
            return
        request = json.loads(body or b"{}")
        self.busy = True
        reply = self.server.answer(Recorded(path, headers, request, time.monotonic()))
        delay = reply.delay + self.server.latency
        if reply.hang:
            return
        if delay > 0:
            self.timer = self.loop.call_later(delay, self._reply, reply, request)
        else:
            self._reply(reply, request)

    def _reply(self, reply: Reply, request: dict[str, Any]) -> None:
        self.timer = None
        if reply.drop:
            self.transport.abort()
            return
        body, kind = self.server.body_of(reply, request)
        self._done()
        self._write(reply.status, reply.headers, body, kind, reply.cut_after)

    def _done(self) -> None:
        if self.busy:
            self.busy = False
            self.server.in_flight -= 1

    def _write(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        kind: str,
        cut_after: int | None = None,
    ) -> None:
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}"]
        lines += [f"content-type: {kind}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        self.transport.write(head + (body if cut_after is None else body[:cut_after]))
        if cut_after is not None:
            self.transport.close()


async def _serve(args: argparse.Namespace) -> None:
    def fixed(request: dict[str, Any], n: int) -> Reply:
        return Reply(text=args.answer)

    script = echo if args.answer == "echo" else fixed
    server = LLMStandin(script, latency=args.latency_ms / 1000, record=False, port=args.port)
    await server.start()
    print(server.base_url, flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Run the server until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--answer", default="echo", help="`echo`, or the text to answer with")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
