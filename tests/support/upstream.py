"""A scripted model API on loopback that speaks any dialect: it sends what the script says.

async with Upstream(lambda asked: Sent(json={...})) as upstream:
    ...  # upstream.url, upstream.asked
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Asked:
    """One request as it came; `n` counts them from 0."""

    n: int
    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Sent:
    """What is sent back.

    Args:
        json: A whole answer.
        chunks: A stream, packet by packet; a number among them is a pause in seconds.
        cut: End the connection without the stream's proper end.
        hang: Never answer.
    """

    status: int = 200
    json: Any = None
    chunks: Sequence[bytes | float] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    hang: bool = False
    delay: float = 0.0


def events(*values: Any, named: bool = False) -> list[bytes]:
    """Server-sent events of JSON values; `[DONE]` as it is."""
    made = list[bytes]()
    for value in values:
        data = value if isinstance(value, str) else json.dumps(value)
        name = f"event: {value['type']}\n" if named else ""
        made.append(f"{name}data: {data}\n\n".encode())
    return made


class Upstream:
    """The server; `asked` are its requests in order."""

    def __init__(self, script: Callable[[Asked], Sent]) -> None:
        self.script = script
        self.asked = list[Asked]()
        self.gone = 0
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Upstream:
        app = web.Application(client_max_size=128 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, shutdown_timeout=0.1)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = raw
        asked = Asked(len(self.asked), request.method, request.path, headers, body)
        self.asked.append(asked)
        sent = self.script(asked)
        try:
            return await self._send(request, sent)
        except asyncio.CancelledError:
            self.gone += 1
            raise

    async def _send(self, request: web.Request, sent: Sent) -> web.StreamResponse:
        await asyncio.sleep(3600 if sent.hang else sent.delay)
        if sent.chunks is None:
            return web.json_response(sent.json, status=sent.status, headers=sent.headers)
        kind = {"Content-Type": "text/event-stream", **sent.headers}
        response = web.StreamResponse(status=sent.status, headers=kind)
        await response.prepare(request)
        for chunk in sent.chunks:
            if isinstance(chunk, bytes):
                await response.write(chunk)
            else:
                await asyncio.sleep(chunk)
        if sent.cut and request.transport is not None:
            request.transport.abort()
        return response
