"""Structured logs: one JSON object a line, with the request, run and batch; secrets taken out.

How often an address may fail to authenticate.

Around every call: its id, its log line and figures, strict headers, and a limit on bodies.
"""

from __future__ import annotations

import logging
import sys
import time
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, TextIO, cast

import structlog
from pydantic import SecretStr
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cornerman.domain.json_values import looks_secret
from cornerman.domain.secrets import Redactor
from cornerman.gateway.figures import Figures
from cornerman.settings import Settings


def set_up_logs(settings: Settings, stream: TextIO | None = None) -> None:
    """Send every logger's lines to `stream` (stderr) as JSON."""
    redact = _Redaction(settings)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        # Their own handlers would print each line a second time, and a query may hold a token.
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = name != "uvicorn.access"
    logging.getLogger("httpx").setLevel(logging.WARNING)


class _Redaction:
    """A processor that stars out the settings' secrets, and values whose name says secret."""

    def __init__(self, settings: Settings) -> None:
        held = (getattr(settings, name) for name in type(settings).model_fields)
        secrets = [value.get_secret_value() for value in held if isinstance(value, SecretStr)]
        self._redactor = Redactor(*secrets)

    def __call__(self, _logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        return {name: self._clean(name, value) for name, value in event.items()}

    def _clean(self, name: str, value: Any) -> Any:
        if name.startswith("_"):
            return value  # structlog's own
        if looks_secret(name) and value:
            return "***"
        if isinstance(value, str):
            return self._redactor.error(value, limit=20_000)
        if isinstance(value, dict):
            return {k: self._clean(str(k), v) for k, v in cast("dict[Any, Any]", value).items()}
        if isinstance(value, (list, tuple)):
            return [self._clean("", item) for item in cast("list[Any]", value)]
        return value


FAILURES_PER_MINUTE = 20
_WINDOW_SECONDS = 60.0
_MOST_ADDRESSES = 10_000


class FailureLimiter:
    """Counts wrong secrets by address within the last minute.

    An address that once gave the right one is never locked out, only its wrong tries are: else
    whoever shares an address with a user could shut the user out.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._trusted: OrderedDict[str, None] = OrderedDict()

    def wait_seconds(self, address: str) -> int:
        """Seconds until the address may try again; 0 when it may now."""
        failures = self._failures.get(address)
        if failures is None:
            return 0
        oldest_counted = self._clock() - _WINDOW_SECONDS
        while failures and failures[0] <= oldest_counted:
            failures.popleft()
        if len(failures) < FAILURES_PER_MINUTE:
            return 0
        return max(1, round(failures[0] - oldest_counted))

    def may_try(self, address: str) -> bool:
        """Whether a secret from this address is looked at at all."""
        return address in self._trusted or self.wait_seconds(address) == 0

    def failed(self, address: str) -> None:
        """Count a wrong secret."""
        failures = self._failures.setdefault(address, deque(maxlen=FAILURES_PER_MINUTE))
        failures.append(self._clock())
        self._failures.move_to_end(address)
        _keep_newest(self._failures)

    def succeeded(self, address: str) -> None:
        """Remember that the right secret came from here."""
        self._trusted[address] = None
        self._trusted.move_to_end(address)
        _keep_newest(self._trusted)


def _keep_newest(
    held: OrderedDict[str, object] | OrderedDict[str, deque[float]] | OrderedDict[str, None],
) -> None:
    # Addresses are cheap to come by, so memory must not grow with them.
    while len(held) > _MOST_ADDRESSES:
        held.popitem(last=False)


BODY_LIMIT = 1_000_000
UPLOAD_LIMIT = 20_000_000
UPLOAD_PATH = "/api/datasets"

_HEADERS = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
log: structlog.stdlib.BoundLogger = structlog.get_logger("cornerman.gateway.access")


class CallContext:
    """Names each call, logs it once it is answered, and sets headers that were not set."""

    def __init__(self, app: ASGIApp, figures: Figures) -> None:
        self._app = app
        self._figures = figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = uuid.uuid4().hex[:12]
        status, started = 0, time.perf_counter()

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers["x-request-id"] = request_id
                # Measured to the first byte: a stream is not slow for being long.
                self._figures.request_seconds.observe(time.perf_counter() - started)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_on)
            finally:
                self._note(scope, status, time.perf_counter() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope.get("method", "WEBSOCKET")
        # A method is the caller's text; unknown ones share a label so that labels stay few.
        known = method if method in _METHODS else "OTHER"
        self._figures.requests.labels(known, f"{status // 100}xx" if status else "-").inc()
        client = scope.get("client")
        log.info(
            "call",
            method=method,
            path=scope["path"],  # without the query, which may hold an access token
            status=status or None,
            ms=round(seconds * 1000, 1),
            client=client[0] if client else None,
        )


_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "WEBSOCKET")


class BodyLimit:
    """Refuses bodies over the limit, by what they say and by what really comes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = UPLOAD_LIMIT if scope["path"] == UPLOAD_PATH else BODY_LIMIT
        came = 0

        async def receive_counted() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came > limit or _declared(scope) > limit:
                raise HTTPException(
                    413,
                    f"The body is over the limit of {limit:,} bytes.",
                    headers={"Connection": "close"},
                )
            return message

        await self._app(scope, receive_counted, send)


def _declared(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0
