"""Requests and answers as they are on the wire: what names one, and what is passed on of it."""

from __future__ import annotations

import json
from typing import Any, cast

import httpx2

from cornerman.meter.dialects.base import Json, RequestRefusedError

_KEPT_HEADERS = ("content-type", "retry-after", "retry-after-ms", "x-should-retry")
_KEPT_STARTS = ("x-", "openai-", "anthropic-", "request-id", "cf-", "ratelimit")


def kept_headers(headers: httpx2.Headers) -> dict[str, str]:
    """What the upstream says beside its answer: its type, its request's id, when to come back."""
    return {
        name: value
        for name, value in headers.items()
        if name in _KEPT_HEADERS or name.startswith(_KEPT_STARTS)
    }


def read_body(raw: bytes) -> Json:
    """A request's body.

    Raises:
        RequestRefusedError: It is no JSON object.
    """
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise RequestRefusedError(f"The body is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise RequestRefusedError("The body must be a JSON object.")
    return cast("Json", body)


def as_json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return raw[:300].decode("utf-8", "replace")
