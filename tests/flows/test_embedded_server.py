"""The embedded server asks its client to come back soon, and grants what has no limit at once."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.client.schemas.responses import ConcurrencyLimitWithLeaseResponse

from flows import embedded_server


async def _busy(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 503, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _answer(monkeypatch: pytest.MonkeyPatch, path: str) -> list[dict[str, Any]]:
    monkeypatch.setattr("prefect.server.api.server.create_app", lambda: _busy)
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await embedded_server.make_app()({"type": "http", "path": path}, None, send)
    return sent


async def test_a_busy_database_is_asked_again_at_once_not_after_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent = await _answer(monkeypatch, "/api/flow_runs/filter")
    (name, value) = sent[0]["headers"][0]
    assert name == b"retry-after"
    assert float(value) < 0.5


async def test_a_place_under_no_limit_is_granted_without_the_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent = await _answer(monkeypatch, "/api/v2/concurrency_limits/increment-with-lease")
    assert sent[0]["status"] == 200
    granted = ConcurrencyLimitWithLeaseResponse.model_validate_json(sent[1]["body"])
    assert granted.limits == []
