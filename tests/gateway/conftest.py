"""A gateway on loopback for each test, on SQLite unless it asks for another database."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cornerman.runner import LaunchFolder
from cornerman.settings import reset_settings
from cornerman.storage.database import Database
from tests.gateway.serving import Served, running, settings_for


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Served]]:
    """`serve(db, NAME="value")` starts a gateway with these settings."""
    with contextlib.ExitStack() as stack:

        def start(db: Database, **env: Any) -> Served:
            return stack.enter_context(running(settings_for(monkeypatch, db, **env), db))

        yield start
    reset_settings()


@pytest.fixture(autouse=True)
def no_run_outlives_its_test(cornerman_home: Path) -> Iterator[None]:
    """Runs survive their gateway on purpose; here they must not survive their test."""
    yield
    folder = LaunchFolder(cornerman_home)
    for run_id in folder.run_ids():
        folder.kill(run_id)


@pytest.fixture
def gateway(serve: Callable[..., Served], sqlite_db: Database) -> Served:
    """A gateway with both secrets set."""
    return serve(sqlite_db)
