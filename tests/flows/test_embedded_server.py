"""The embedded server is patient with its database, and grants what has no limit at once."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.client.schemas.responses import ConcurrencyLimitWithLeaseResponse

from cornerman.flows.plumbing import embedded_server


async def _answer(
    monkeypatch: pytest.MonkeyPatch, path: str, *, statuses: tuple[int, ...]
) -> list[dict[str, Any]]:
    """What the server sends when Prefect answers with these statuses, one after another."""
    left = iter(statuses)

    async def prefect(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": next(left), "headers": []})
        await send({"type": "http.response.body", "body": b""})

    monkeypatch.setattr("prefect.server.api.server.create_app", lambda: prefect)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await embedded_server.make_app()({"type": "http", "path": path}, receive, send)
    return sent


async def test_what_a_busy_database_refused_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = await _answer(monkeypatch, "/api/flow_runs/filter", statuses=(503, 503, 200))
    assert [message.get("status") for message in sent] == [200, None]


async def test_a_place_under_no_limit_is_granted_without_the_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = "/api/v2/concurrency_limits/increment-with-lease"
    sent = await _answer(monkeypatch, path, statuses=())
    assert sent[0]["status"] == 200
    granted = ConcurrencyLimitWithLeaseResponse.model_validate_json(sent[1]["body"])
    assert granted.limits == []
