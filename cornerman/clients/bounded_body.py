"""Bounds what an endpoint may send us.

httpx2 reads a whole body into memory, decompressed. `bound_response` is a response hook for its
client: it replaces the body's stream by one that stops at a limit, before anything reads it.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from typing import cast

import httpx2

MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_ERROR_BODY_BYTES = 64 * 1024


class BodyError(Exception):
    """A body that is too large, or packed in a way that was not asked for."""


async def bound_response(response: httpx2.Response) -> None:
    """Bound the response's body: an error's is cut, a longer answer raises BodyError."""
    encoding = response.headers.pop("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip", "deflate", ""}:
        raise BodyError(f"The body came as {encoding!r} although none was asked for.")
    is_error = response.status_code >= 400
    response.stream = BoundedStream(
        cast(httpx2.AsyncByteStream, response.stream),
        limit=MAX_ERROR_BODY_BYTES if is_error else MAX_BODY_BYTES,
        cut=is_error,
        unpack=encoding in {"gzip", "deflate"},
    )


class BoundedStream(httpx2.AsyncByteStream):
    """A body's chunks, unpacked, up to a limit.

    Args:
        cut: End at the limit in silence rather than raise BodyError.
        unpack: The body is gzip or zlib. It is unpacked here, as a small body can unpack to
            gigabytes in one piece elsewhere.
    """

    def __init__(
        self, inner: httpx2.AsyncByteStream, *, limit: int, cut: bool, unpack: bool
    ) -> None:
        self._inner = inner
        self._limit = limit
        self._cut = cut
        # 32 + 15: gzip or zlib, told by the header.
        self._unpacker = zlib.decompressobj(47) if unpack else None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        room = self._limit
        async for packed in self._inner:
            chunk = self._unpack(packed, room)
            if len(chunk) > room:
                if self._cut:
                    yield chunk[:room]
                    return
                raise BodyError(f"The body is longer than {self._limit} bytes.")
            room -= len(chunk)
            yield chunk

    def _unpack(self, chunk: bytes, room: int) -> bytes:
        if self._unpacker is None:
            return chunk
        try:
            # One byte more than there is room for tells "too long" without unpacking the rest.
            return self._unpacker.decompress(chunk, room + 1)
        except zlib.error as exc:
            raise BodyError(f"The body cannot be unpacked: {exc}") from exc

    async def aclose(self) -> None:
        await self._inner.aclose()
