"""The tests' own ground: what conftest promises to every test holds."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from cornerman.storage.database import Database
from cornerman.storage.database.migrate import current_revision, head_revision
from tests.support.environment import clean_environment
from tests.support.network import NetworkBlockedError

# From the block reserved for documentation: nothing answers there.
OUTSIDE = "192.0.2.1"


def test_connection_beyond_loopback_is_refused_with_its_address() -> None:
    with pytest.raises(NetworkBlockedError, match=OUTSIDE):
        socket.create_connection((OUTSIDE, 443), timeout=1)


async def test_event_loop_cannot_connect_beyond_loopback() -> None:
    with pytest.raises(NetworkBlockedError, match=OUTSIDE):
        await asyncio.open_connection(OUTSIDE, 443)


def test_lookup_of_a_foreign_name_is_refused() -> None:
    with pytest.raises(NetworkBlockedError, match=r"api\.example\.com"):
        socket.getaddrinfo("api.example.com", 443)


def test_loopback_stays_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(("localhost", server.getsockname()[1]), timeout=1).close()


def test_users_variables_do_not_reach_a_test() -> None:
    user = {"OPENAI_API_KEY": "k", "PREFECT_API_URL": "u", "HTTPS_PROXY": "p", "PATH": "/bin"}
    cleaned = clean_environment(user, home="/nowhere")
    assert cleaned.keys() & user.keys() == {"PATH"}
    assert cleaned["HOME"] == "/nowhere"


def test_home_is_the_tests_own(cornerman_home: Path) -> None:
    assert os.environ["CORNERMAN_HOME"] == str(cornerman_home)
    assert Path.home().name.startswith("cornerman-tests-")


def test_database_starts_at_the_newest_schema(db: Database) -> None:
    assert current_revision(db) == head_revision()


def test_each_test_gets_another_postgres_database(
    make_postgres_database: Callable[[], str],
) -> None:
    first, second = Database(make_postgres_database()), Database(make_postgres_database())
    with first.writing() as session:
        session.execute(text("CREATE TABLE only_here (id int)"))
    assert current_revision(second) is None
    with second.reading() as session:
        found = session.execute(text("SELECT to_regclass('only_here')")).scalar()
    assert found is None
    first.close()
    second.close()
