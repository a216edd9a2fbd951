"""Server-sent events as they pass: split where they end, and read without being changed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")


class EventSplitter:
    """Cuts a stream of bytes into whole events, however they come in packets."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Events that end in this chunk, each with the empty line that ends it."""
        self._buffer += chunk
        while (match := _END.search(self._buffer)) is not None:
            event = bytes(self._buffer[: match.end()])
            del self._buffer[: match.end()]
            yield event

    def rest(self) -> bytes:
        """What came after the last whole event."""
        return bytes(self._buffer)


def event_data(event: bytes) -> Any:
    """The JSON value of an event's data; None when it has none, such as `[DONE]`."""
    lines = event.decode("utf-8", "replace").splitlines()
    data = "\n".join(line[5:].removeprefix(" ") for line in lines if line.startswith("data:"))
    try:
        return json.loads(data) if data else None
    except (ValueError, RecursionError):
        return None
