"""One chat call over the wire, through the openai package. Import it late: openai takes 1 s.

A failure is a value here, not an exception: openai's exceptions carry the request, key included,
and would hang on to every error raised from them.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import time
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai
from openai._types import RequestOptions

from cornerman.clients.bounded_body import BodyError, bound_response
from cornerman.clients.chat_answer import (
    Completion,
    Failure,
    FailureKind,
    StreamReader,
    kind_of_status,
    parse_completion,
)
from cornerman.clients.retry import parse_retry_after

CONNECT_SECONDS = 10.0
NO_CREDIT = "insufficient_quota"
# These come before a byte of the request was sent.
UNSENT_ERRORS = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
)
# Twice the most battles or cases that run at once in a process, with room for other roles.
_LIMITS = httpx2.Limits(max_connections=512, max_keepalive_connections=128, keepalive_expiry=30)


def is_loopback(url: str) -> bool:
    """Whether an address is this machine's own."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def open_client(base_url: str, api_key: str | None) -> openai.AsyncOpenAI:
    """Return a client without retries of its own, as each of them must be booked."""
    http = httpx2.AsyncClient(
        limits=_LIMITS,
        # A redirected POST comes back as a GET, so the address must be the right one.
        follow_redirects=False,
        # A proxy for the outside would not find our own machine.
        trust_env=not is_loopback(base_url),
        headers={"Accept-Encoding": "identity"},
        event_hooks={"response": [bound_response]},
    )
    # The meter leaves alone what is booked here already.
    http.is_booked = True  # pyright: ignore[reportAttributeAccessIssue]
    return openai.AsyncOpenAI(
        base_url=base_url,
        # openai refuses to start without a key; an endpoint without auth ignores it.
        api_key=api_key or "none",
        max_retries=0,
        http_client=http,
    )


async def send_chat(
    client: openai.AsyncOpenAI,
    body: dict[str, Any],
    *,
    headers: dict[str, str],
    timeout_seconds: float,
    stream: bool,
) -> Completion | Failure:
    """Make one call. Raises nothing but what cancels it."""
    connect = min(timeout_seconds, CONNECT_SECONDS)
    options: RequestOptions = {
        "headers": headers,
        "timeout": httpx2.Timeout(timeout_seconds, connect=connect),
    }
    try:
        # httpx2's time-outs are per read; a slow drip would pass them for ever.
        async with asyncio.timeout(timeout_seconds):
            if stream:
                return await _stream(client, body, options)
            return await _post(client, body, options)
    except TimeoutError:
        return Failure("timeout", f"No answer within {timeout_seconds:g} s")
    except openai.APIStatusError as exc:
        return _status_failure(exc)
    except openai.APIConnectionError as exc:
        return _connection_failure(exc)
    except openai.APIError as exc:
        return Failure("server_error", f"The stream held an error: {exc.message}")
    except BodyError as exc:
        return Failure("malformed", str(exc))
    except (ValueError, RecursionError) as exc:
        return Failure("malformed", f"The answer is not JSON: {exc}")


async def _post(
    client: openai.AsyncOpenAI, body: dict[str, Any], options: RequestOptions
) -> Completion | Failure:
    # The raw response: its pydantic model costs a third of the client's time per call, and lets
    # bodies of any shape through all the same.
    response = await client.post(
        "/chat/completions", cast_to=httpx2.Response, body=body, options=options
    )
    return parse_completion(response.content)


async def _stream(
    client: openai.AsyncOpenAI, body: dict[str, Any], options: RequestOptions
) -> Completion | Failure:
    body = {**body, "stream": True, "stream_options": {"include_usage": True}}
    reader = StreamReader()
    async with await client.post(
        "/chat/completions",
        cast_to=object,
        body=body,
        options=options,
        stream=True,
        stream_cls=openai.AsyncStream[object],
    ) as chunks:
        async for chunk in chunks:
            reader.add(chunk)
    return reader.end()


def _connection_failure(exc: openai.APIConnectionError) -> Failure:
    cause = exc.__cause__
    free = isinstance(cause, UNSENT_ERRORS)
    kind: FailureKind = "timeout" if isinstance(exc, openai.APITimeoutError) else "connection"
    detail = f"{type(cause).__name__}: {cause}" if cause else exc.message
    return Failure(kind, detail, free=free)


def _status_failure(exc: openai.APIStatusError) -> Failure:
    status = exc.status_code
    kind = kind_of_status(status, without_credit=exc.code == NO_CREDIT)
    message = exc.message
    if isinstance(exc.body, str) and exc.body:
        message = f"{message} - {exc.body}"
    elif exc.body is not None and " - " not in message:
        message = f"{message} - {json.dumps(exc.body)}"
    retry_after = parse_retry_after(exc.response.headers, time.time())
    return Failure(kind, message, free=True, status_code=status, retry_after=retry_after)
