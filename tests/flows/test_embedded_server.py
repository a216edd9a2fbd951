"""The embedded server asks its client to come back soon."""

from __future__ import annotations

from typing import Any

import pytest

from flows import embedded_server


async def _busy(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 503, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def test_a_busy_database_is_asked_again_at_once_not_after_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("prefect.server.api.server.create_app", lambda: _busy)
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await embedded_server.make_app()({"type": "http"}, None, send)
    (name, value) = sent[0]["headers"][0]
    assert name == b"retry-after"
    assert float(value) < 0.5
