"""A request that Prefect's database was too busy for is done again, and nobody hears of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, temporary_settings
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from cornerman.flows.plumbing.patient import (
    LONGEST_LOCK_MS,
    patient,
    prefect_app,
)
from cornerman.flows.plumbing.prefect_private import shorten_lock_waits


class _Busy:
    """Prefect's way to refuse: the exception's answer is sent, then the exception raised."""

    def __init__(self, refusals: int) -> None:
        self.left = refusals
        self.asked: list[bytes] = []
        handlers: Any = {Exception: self._refuse}
        routes = [Route("/{name}", self._answer, methods=["POST"])]
        self.app = Starlette(routes=routes, exception_handlers=handlers)

    async def _answer(self, request: Request) -> Response:
        self.asked.append(await request.body())
        if self.left:
            self.left -= 1
            raise OSError("database is locked")
        return JSONResponse({"name": request.path_params["name"]}, status_code=201)

    async def _refuse(self, _request: Request, _error: Exception) -> Response:
        return JSONResponse({"exception_message": "Service Unavailable"}, status_code=503)


def test_a_refused_request_is_done_again_with_its_whole_body() -> None:
    busy = _Busy(refusals=3)
    answer = TestClient(patient(busy.app)).post("/run", content=b"x" * 300_000)
    assert (answer.status_code, answer.json()) == (201, {"name": "run"})
    assert busy.asked == [b"x" * 300_000] * 4


def test_after_a_while_the_client_hears_of_it() -> None:
    busy = _Busy(refusals=10**6)
    client = TestClient(patient(busy.app, seconds=0.3), raise_server_exceptions=False)
    answer = client.post("/run")
    assert answer.status_code == 503
    assert len(busy.asked) > 3


def test_other_answers_are_sent_once() -> None:
    busy = _Busy(refusals=0)
    client = TestClient(patient(busy.app))
    assert client.post("/run").status_code == 201
    assert client.get("/run").status_code == 405
    assert busy.asked == [b""]


def test_a_broken_app_is_not_asked_again() -> None:
    asked = list[str]()

    async def broken(scope: Any, _receive: Any, _send: Any) -> None:
        asked.append(scope["path"])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        TestClient(patient(broken)).get("/run")
    assert asked == ["/run"]


async def test_a_lock_is_waited_for_a_few_seconds_not_a_minute(tmp_path: Path) -> None:
    address = f"sqlite+aiosqlite:///{tmp_path}/prefect.db"
    plain = AioSqliteConfiguration.setup_sqlite
    try:
        for _ in range(2):
            shorten_lock_waits(LONGEST_LOCK_MS)
        assert getattr(AioSqliteConfiguration.setup_sqlite, "is_short", False)
        engine = await AioSqliteConfiguration(address).engine()
        async with engine.connect() as connection:
            waits = (await connection.execute(text("PRAGMA busy_timeout"))).scalar_one()
            journal = (await connection.execute(text("PRAGMA journal_mode"))).scalar_one()
    finally:
        AioSqliteConfiguration.setup_sqlite = plain
    assert (waits, journal) == (LONGEST_LOCK_MS, "wal")


@pytest.mark.parametrize(
    ("address", "is_patient"),
    [
        (None, True),
        ("sqlite+aiosqlite:////home/prefect.db", True),
        ("postgresql+asyncpg://cornerman:secret@db/prefect", False),
    ],
)
def test_prefect_is_patient_on_sqlite_alone(
    address: str | None, is_patient: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = object()
    monkeypatch.setattr("prefect.server.api.server.create_app", lambda: app)
    updates: dict[Any, Any] = {PREFECT_API_DATABASE_CONNECTION_URL: address}
    with temporary_settings(updates=updates):
        assert (prefect_app() is not app) == is_patient
