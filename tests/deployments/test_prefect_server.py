"""The server of `cornerman serve` does again what SQLite refused, and nothing on PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, temporary_settings

from deployments.prefect_server import make_app


@pytest.mark.parametrize(
    ("address", "is_patient"),
    [
        (None, True),
        ("sqlite+aiosqlite:////home/prefect.db", True),
        ("postgresql+asyncpg://cornerman:secret@db/prefect", False),
    ],
)
def test_is_patient_on_sqlite_alone(
    address: str | None, is_patient: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = object()
    monkeypatch.setattr("prefect.server.api.server.create_app", lambda: app)
    updates: dict[Any, Any] = {PREFECT_API_DATABASE_CONNECTION_URL: address}
    with temporary_settings(updates=updates):
        assert (make_app() is not app) == is_patient
