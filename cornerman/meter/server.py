"""The meter's server: one a process, on a loopback port, in a thread with its own event loop."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from collections.abc import AsyncGenerator
from functools import cache
from typing import Any

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from cornerman.clients.chat_wire import CONNECT_SECONDS, is_loopback
from cornerman.meter.accounts import KEY_PREFIX, CaseKey, RunAccount
from cornerman.meter.call import Head, MeteredCall, Upstream
from cornerman.meter.dialects import DIALECTS
from cornerman.meter.dialects.base import Dialect, Provider, RequestRefusedError, openai_refusal
from cornerman.meter.wire import kept_headers, read_body

MOST_BODY_BYTES = 64 * 1024 * 1024
CASE_HEADER = "x-cornerman-case"
# What concerns the connection to the meter alone, or would give away whose key it is.
_DROPPED = {
    "host", "authorization", "x-api-key", "api-key", "content-length", "connection", "cookie",
    "accept-encoding", "transfer-encoding", "keep-alive", "te", "upgrade", "expect", CASE_HEADER,
}  # fmt: skip
_ANTHROPIC_VERSION = "2023-06-01"
_KEEP_ALIVE_SECONDS = 75
_START_SECONDS = 20.0


class MeterServer:
    """The accounts that are open in this process, and the address they share."""

    def __init__(self) -> None:
        self._accounts = dict[str, RunAccount]()
        # For the environment: calls with it belong to the case of their context, or to the run.
        self.process_key = KEY_PREFIX + secrets.token_urlsafe(24)
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.origin = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._clients = dict[bool, httpx2.AsyncClient]()
        self._ready = threading.Event()
        threading.Thread(target=self._serve, name="cornerman-meter", daemon=True).start()
        if not self._ready.wait(_START_SECONDS):
            raise RuntimeError("The metering endpoint did not start.")

    @property
    def openai_url(self) -> str:
        """What `OPENAI_BASE_URL` is set to."""
        return f"{self.origin}/v1"

    @property
    def anthropic_url(self) -> str:
        """What `ANTHROPIC_BASE_URL` is set to."""
        return self.origin

    def open(self, account: RunAccount) -> None:
        """Serve a run's calls from now on."""
        self._accounts[account.run_id] = account

    async def close(self, account: RunAccount) -> None:
        """Serve them no more, and book what is in flight."""
        if self._accounts.get(account.run_id) is account:
            del self._accounts[account.run_id]
        await account.close()

    def _serve(self) -> None:
        @contextlib.asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncGenerator[None]:
            self._ready.set()
            yield

        routes = [Route(d.path, self._handler(d), methods=["POST"]) for d in DIALECTS]
        routes.append(Route("/v1/messages/count_tokens", self._free, methods=["POST"]))
        routes.append(Route("/v1/{rest:path}", self._free, methods=["GET", "DELETE"]))
        routes.append(Route("/{rest:path}", _unknown, methods=["GET", "POST", "PUT", "DELETE"]))
        config = uvicorn.Config(
            Starlette(routes=routes, lifespan=lifespan),
            log_config=None,
            log_level="critical",
            access_log=False,
            lifespan="on",
            ws="none",
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            server_header=False,
            date_header=False,
        )
        uvicorn.Server(config).run(sockets=[self._socket])

    # -- whose call it is

    def _key(self, request: Request) -> CaseKey | None:
        """The key of the case that a request is made for; None for a dead or unknown one."""
        named = request.headers.get(CASE_HEADER)
        given = _token(request)
        for token in (named, given):
            for account in list(self._accounts.values()) if token else ():
                if (key := account.find(token or "")) is not None:
                    return key
        if named is None and given == self.process_key and len(self._accounts) == 1:
            (account,) = list(self._accounts.values())
            account.unattributed += 1
            return account.own_key
        return None

    # -- the calls

    def _handler(self, dialect: Dialect) -> Any:
        async def handle(request: Request) -> Response:
            key = self._key(request)
            if key is None:
                return _refusal(dialect, 401, "case_ended", _why_dead(request))
            try:
                raw = await _read(request)
                asked = read_body(raw)
                most = key.account.endpoint.max_output_tokens
                bound = dialect.bound(asked, len(raw), most)
                upstream = self._upstream(key.account, dialect.provider, request)
            except RequestRefusedError as error:
                return _refusal(dialect, error.status, error.code, str(error))
            except ClientDisconnect:
                return Response(status_code=499)
            call = MeteredCall(key, dialect, asked, bound, upstream, request.headers, raw)
            if not key.begin(call):
                return _refusal(dialect, 401, "case_ended", _why_dead(request))
            call.start()
            return await _answered(call)

        return handle

    async def _free(self, request: Request) -> Response:
        """Pass on what costs nothing: models, kept responses, a count of tokens."""
        key = self._key(request)
        dialect = DIALECTS[-1] if "/messages" in request.url.path else DIALECTS[0]
        if key is None:
            return _refusal(dialect, 401, "case_ended", _why_dead(request))
        try:
            raw = await _read(request)
            provider: Provider = "anthropic" if _is_anthropic(request) else "openai"
            upstream = self._upstream(key.account, provider, request)
            answer = await upstream.client.request(
                request.method, upstream.url, headers=upstream.headers, content=raw or None
            )
        except RequestRefusedError as error:
            return _refusal(dialect, error.status, error.code, str(error))
        except httpx2.HTTPError as error:
            return _refusal(dialect, 502, "upstream_unreachable", type(error).__name__)
        headers = kept_headers(answer.headers)
        return Response(answer.content, answer.status_code, headers)

    def _upstream(self, account: RunAccount, provider: Provider, request: Request) -> Upstream:
        headers = {
            name: value for name, value in request.headers.items() if name not in _DROPPED
        } | {"accept-encoding": "identity"}
        path = request.url.path.removeprefix("/v1")
        if request.url.query:
            path += f"?{request.url.query}"
        if provider == "anthropic":
            if account.anthropic is None:
                raise RequestRefusedError(
                    "No key for Anthropic's API is set: ANTHROPIC_API_KEY.",
                    status=401,
                    code="no_anthropic_key",
                )
            base, secret = account.anthropic.base_url, account.anthropic.api_key
            url = f"{base.rstrip('/').removesuffix('/v1')}/v1{path}"
            headers.setdefault("anthropic-version", _ANTHROPIC_VERSION)
            if secret is not None:
                headers["x-api-key"] = secret.get_secret_value()
        else:
            base, secret = account.endpoint.openai_url, account.endpoint.api_key
            url = base.rstrip("/") + path
            if secret is not None:
                headers["authorization"] = f"Bearer {secret.get_secret_value()}"
        if account.endpoint.simulated:
            headers["x-cornerman-role"] = "agent"
        plain = secret.get_secret_value() if secret is not None else None
        return Upstream(self._client(is_loopback(base)), url, headers, plain)

    def _client(self, loopback: bool) -> httpx2.AsyncClient:
        if loopback not in self._clients:
            self._clients[loopback] = httpx2.AsyncClient(
                limits=httpx2.Limits(max_connections=1024, max_keepalive_connections=256),
                follow_redirects=False,
                trust_env=not loopback,
                # How long an answer may take is its asker's to say: the case's time-out.
                timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
            )
        return self._clients[loopback]


@cache
def meter_server() -> MeterServer:
    """This process's meter, started when it is first asked for; it lives as long as the process,
    since an agent's module keeps the client that it made with its address."""
    return MeterServer()


async def _answered(call: MeteredCall) -> Response:
    head: Head = await call.head
    if head.streams:
        return StreamingResponse(call.chunks(), head.status, head.headers)
    body = b"".join([chunk async for chunk in call.chunks()])
    return Response(body, head.status, head.headers)


async def _read(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BODY_BYTES:
            raise RequestRefusedError(
                f"The body is larger than {MOST_BODY_BYTES} bytes.", status=413, code="too_large"
            )
    return bytes(body)


def _token(request: Request) -> str:
    bearer = request.headers.get("authorization", "")
    return bearer[7:].strip() if bearer.lower().startswith("bearer ") else (
        request.headers.get("x-api-key") or request.headers.get("api-key") or ""
    )  # fmt: skip


def _is_anthropic(request: Request) -> bool:
    return "anthropic-version" in request.headers


def _why_dead(request: Request) -> str:
    if not _token(request):
        return "No key was sent; use context.api_key, or the OPENAI_API_KEY of the environment."
    return (
        "This key belongs to no case that is under way: its case has ended, or the call was made "
        "outside of one."
    )


def _refusal(dialect: Dialect, status: int, code: str, message: str) -> Response:
    headers = {"x-should-retry": "false"}
    return JSONResponse(dialect.refusal(status, code, message), status, headers)


async def _unknown(request: Request) -> Response:
    served = ", ".join(dialect.path for dialect in DIALECTS)
    message = (
        f"{request.method} {request.url.path[:200]} is not metered, so it is not forwarded; "
        f"metered are {served}."
    )
    return JSONResponse(openai_refusal(404, "unknown_url", message), 404)
