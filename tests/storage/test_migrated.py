"""Checkpoints of another program: what is taken, what is not, and nothing twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine

from cornerman.domain.errors import BadInputError, NotFoundError, StorageError
from cornerman.domain.training.migrated import migrated_checkpoint
from cornerman.storage.checkpoints import read_best_checkpoint, read_best_moves, read_checkpoints
from cornerman.storage.database import Database
from cornerman.storage.database.migrate import upgrade
from cornerman.storage.migrated import (
    adopt_best,
    create_migrated,
    open_foreign,
    read_foreign_checkpoints,
)
from tests.support.orcheo import checkpoint_row, fill, prompt


@pytest.fixture(params=["sqlite", "postgres"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Engine]]:
    """The address of Orcheo's database as a user gives it, and an engine that fills it."""
    if request.param == "sqlite":
        path = tmp_path / "orcheo file.db"
        address, engine = str(path), create_engine(f"sqlite:///{path}")
    else:
        url = request.getfixturevalue("make_postgres_database")()
        address, engine = url.replace("postgresql+psycopg", "postgresql"), create_engine(url)
    yield address, engine
    engine.dispose()


def rows_of(address: str) -> list[dict[str, Any]]:
    engine = open_foreign(address)
    try:
        return [row for batch in read_foreign_checkpoints(engine) for row in batch]
    finally:
        engine.dispose()


def migrate(db: Database, address: str) -> list[str]:
    taken = [migrated_checkpoint(row, {}) for row in rows_of(address)]
    with db.writing() as session:
        return list(create_migrated(session, taken))


def test_both_kinds_of_database_are_read_in_the_order_of_versions(
    source: tuple[str, Engine], db: Database
) -> None:
    address, engine = source
    fill(engine, [checkpoint_row(2, is_best=True), checkpoint_row(1)])
    assert migrate(db, address) == ["new", "new"]
    with db.reading() as session:
        newest, older = read_checkpoints(session, "support")
    assert (newest.config_version, older.config_version) == (2, 1)
    assert newest.metrics == {"quality": 0.2}
    assert newest.prompts["system"].text == "Version 2."
    assert newest.created_at.isoformat() == "2026-01-02T10:00:00+00:00"
    assert newest.metadata["orcheo"] == {"config_version": 2, "was_best": True}
    assert not newest.is_best, "who is the best is decided once all are there"


def test_a_second_time_adds_nothing(source: tuple[str, Engine], db: Database) -> None:
    address, engine = source
    fill(engine, [checkpoint_row(n) for n in (1, 2, 3)])
    migrate(db, address)
    assert migrate(db, address) == ["known"] * 3
    fill(engine, [checkpoint_row(4)])
    assert migrate(db, address) == ["known", "known", "known", "new"]


def test_a_version_that_is_passed_here_gets_the_next_one(db: Database) -> None:
    first = migrated_checkpoint(checkpoint_row(5), {})
    late = migrated_checkpoint(checkpoint_row(2), {})
    same = migrated_checkpoint(checkpoint_row(7, config_version=5), {})
    with db.writing() as session:
        added = create_migrated(session, [first, late, same])
        versions = [c.config_version for c in read_checkpoints(session, "support")]
    assert (added, versions) == (["new", "renumbered", "renumbered"], [7, 6, 5])


def test_its_best_becomes_ours_once_and_the_reason_is_kept(db: Database) -> None:
    one, two = (migrated_checkpoint(checkpoint_row(n), {}) for n in (1, 2))
    with db.writing() as session:
        create_migrated(session, [one, two])
        assert adopt_best(session, "support", two.id) == two.id
        assert adopt_best(session, "support", one.id) == two.id, "ours stays"
        best = read_best_checkpoint(session, "support")
        moves = read_best_moves(session, "support")
    assert best is not None and best.id == two.id
    assert [(m["by"], m["reason"]) for m in moves] == [("migrate", "the best in Orcheo")]


def test_an_id_that_is_another_workflows_is_left_alone(db: Database) -> None:
    mine = migrated_checkpoint(checkpoint_row(1), {})
    theirs = migrated_checkpoint(checkpoint_row(1, workflow_id="sales"), {})
    with db.writing() as session:
        assert create_migrated(session, [mine, theirs]) == ["new", "another's"]


def test_what_looks_like_a_secret_stays_behind() -> None:
    config = {"configurable": {"api_key": "sk-1234567890"}, "prompts": {"a": prompt("token")}}
    made = migrated_checkpoint(checkpoint_row(1, runnable_config=config), {})
    assert made.masked and made.runnable_config["configurable"] == {"api_key": "***"}
    assert made.runnable_config["prompts"]["a"]["text"] == "token"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"workflow_id": "a b"}, "workflow_id does not match"),
        ({"metrics": "{"}, "metrics is not JSON"),
        ({"metadata": "[]"}, "metadata is not an object"),
        ({"runnable_config": '{"prompts": {"s": {}}}'}, "prompts: text: field required"),
        ({"runnable_config": '{"prompts": []}'}, "prompts is not an object"),
        ({"created_at": "soon"}, "created_at is not a time"),
        ({"config_version": 0}, "config_version is not a whole number"),
        ({"id": " "}, "id is empty"),
    ],
)
def test_a_row_that_cannot_be_taken_says_why(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInputError) as refused:
        migrated_checkpoint(checkpoint_row(1, **changes), {})
    assert said in refused.value.message


def test_a_workflow_may_get_another_name() -> None:
    made = migrated_checkpoint(checkpoint_row(1, workflow_id="a b"), {"a b": "support"})
    assert made.workflow_id == "support"


def test_other_databases_are_refused_and_none_is_changed(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        open_foreign(str(tmp_path / "none.db"))
    with pytest.raises(BadInputError, match="neither"):
        open_foreign("mysql://user:hunter22222@host/db")
    empty = tmp_path / "empty.db"
    sqlite3.connect(empty).execute("CREATE TABLE runs (id TEXT)").connection.commit()
    before = empty.read_bytes()
    with pytest.raises(BadInputError, match="has no table agentensor_checkpoints; it has: runs"):
        rows_of(str(empty))
    assert empty.read_bytes() == before and not list(tmp_path.glob("*-wal"))
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to be looked at as one\n" * 40)
    with pytest.raises(StorageError, match="cannot be read"):
        rows_of(str(text))


def test_a_server_that_is_away_is_told_without_its_password() -> None:
    address = "postgresql://orcheo:hunter22222@127.0.0.1:9/orcheo"
    with pytest.raises(StorageError) as refused:
        rows_of(address)
    assert "hunter22222" not in str(refused.value) and "127.0.0.1:9" in str(refused.value)


def test_orcheos_own_database_can_be_ours(source: tuple[str, Engine], cornerman_home: Path) -> None:
    address, engine = source
    fill(engine, [checkpoint_row(1), checkpoint_row(2, is_best=True)])
    ours = Database(engine.url.render_as_string(hide_password=False))
    upgrade(ours)
    try:
        assert migrate(ours, address) == ["known", "known"]
        with ours.writing() as session:
            best = read_best_checkpoint(session, "support")
            assert best is not None and best.config_version == 2
            assert create_migrated(session, [migrated_checkpoint(checkpoint_row(3), {})]) == ["new"]
    finally:
        ours.close()
