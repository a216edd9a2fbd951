"""A Prefect server that is away while a run needs it is told within ten seconds, and its return."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from cornerman.flows.plumbing import server_state
from cornerman.flows.plumbing.embedded_client import troubles


class Client:
    """Does not answer, then refuses, then answers that the run is running."""

    def __init__(self) -> None:
        self.asked = 0

    async def read_flow_run(self, _: Any) -> Any:
        self.asked += 1
        if self.asked == 1:
            await asyncio.sleep(60)
        if self.asked == 2:
            raise OSError("refused")
        state = SimpleNamespace(is_cancelling=lambda: False, is_final=lambda: False)
        return SimpleNamespace(state=state)


async def test_a_server_that_is_away_is_told_once_and_its_return_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = Client()

    @contextlib.asynccontextmanager
    async def get_client() -> AsyncGenerator[Client]:
        yield client

    monkeypatch.setattr(server_state, "get_client", get_client)
    monkeypatch.setattr(server_state, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(server_state, "_ANSWER_SECONDS", 0.05)
    before, cancelled = len(troubles), list[str]()
    watching = asyncio.create_task(server_state.watch_flow_run(str(uuid4()), cancelled.append))
    while client.asked < 5:
        await asyncio.sleep(0.01)
    watching.cancel()
    assert [trouble.back for trouble in troubles[before:]] == [False, True]
    assert "cornerman doctor" in capsys.readouterr().err
    assert cancelled == []
