"""Server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

from fastapi.responses import StreamingResponse

from cornerman.gateway.figures import Figures

# Proxies close what is silent for long.
IDLE_SECONDS = 10.0
SIGN_OF_LIFE = ": alive\n\n"
_RETRY_MS = 2_000


def message(data: str, *, id: str | None = None, event: str | None = None) -> str:
    """One message; `data` is one line of JSON."""
    lines = [f"event: {event}"] if event else []
    if id is not None:
        lines.append(f"id: {id}")
    return "\n".join([*lines, f"data: {data}"]) + "\n\n"


def end_message(facts: dict[str, Any]) -> str:
    """The last message: a reader should not come back for more."""
    return message(json.dumps(facts), event="end")


def stream_response(chunks: AsyncIterable[str], figures: Figures) -> StreamingResponse:
    """The answer that sends these messages as they come."""

    async def counted() -> AsyncIterator[str]:
        with figures.streams.labels("sse").track_inprogress():
            yield f"retry: {_RETRY_MS}\n\n"
            async for chunk in chunks:
                yield chunk

    headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
    return StreamingResponse(counted(), media_type="text/event-stream", headers=headers)
