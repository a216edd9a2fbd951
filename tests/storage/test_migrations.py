"""The schema: made from zero, taken back, adopted, compared, refused when it is another's."""

from __future__ import annotations

import multiprocessing
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, text

from cornerman.domain.errors import SchemaOutdatedError, StorageError
from cornerman.storage import checkpoints
from cornerman.storage.database import Database, migrate
from cornerman.storage.tables import metadata
from tests.storage.samples import fill_every_table, new_checkpoint


@pytest.fixture
def empty(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


def tables_of(database: Database) -> set[str]:
    return set(inspect(database.engine).get_table_names())


def test_migrates_from_nothing_and_again_without_effect(empty: Database):
    assert migrate.current_revision(empty) is None
    migrate.upgrade(empty)
    migrate.upgrade(empty)
    assert migrate.current_revision(empty) == migrate.head_revision()
    assert set(metadata.tables) < tables_of(empty)


def test_the_migrated_schema_is_the_one_that_the_code_describes(db: Database):
    with db.engine.connect() as connection:
        options = {"version_table": migrate.VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        differences = compare_metadata(context, metadata)
    # The users' own DDL: on SQLite, a primary key of TEXT may be NULL unless it says NOT NULL.
    known = "modify_nullable None agentensor_checkpoints id"
    assert [d for d in differences if " ".join(map(str, d[0][:4])) != known] == []


def test_every_table_holds_a_row_through_an_upgrade(db: Database):
    fill_every_table(db)
    with db.reading() as session:
        before = {t.name: session.execute(select(t)).all() for t in metadata.sorted_tables}
    assert all(before.values()), [name for name, rows in before.items() if not rows]
    migrate.upgrade(db)
    with db.reading() as session:
        after = {t.name: session.execute(select(t)).all() for t in metadata.sorted_tables}
    assert after == before


def test_a_downgrade_with_data_leaves_only_the_users_checkpoints(db: Database):
    fill_every_table(db)
    migrate.downgrade(db, "base")
    assert tables_of(db) - {migrate.VERSION_TABLE} == {"agentensor_checkpoints"}
    assert index_names(db) == {
        "idx_agentensor_checkpoints_workflow",
        "idx_agentensor_checkpoints_best",
    }
    migrate.upgrade(db)
    with db.reading() as session:
        assert [c.id for c in checkpoints.read_checkpoints(session, "w")] == ["cp-1"]


def index_names(database: Database) -> set[str]:
    found = inspect(database.engine).get_indexes("agentensor_checkpoints")
    return {str(index["name"]) for index in found}


# The table as the users' runbooks have it.
SEED_SQLITE = """
CREATE TABLE IF NOT EXISTS agentensor_checkpoints (
    id TEXT PRIMARY KEY, workflow_id TEXT NOT NULL, config_version INTEGER NOT NULL,
    runnable_config TEXT NOT NULL, metrics TEXT NOT NULL, metadata TEXT NOT NULL DEFAULT '{}',
    artifact_url TEXT, is_best INTEGER NOT NULL DEFAULT 0, created_at TEXT NOT NULL
)"""
SEED_POSTGRESQL = """
CREATE TABLE IF NOT EXISTS agentensor_checkpoints (
    id TEXT PRIMARY KEY, workflow_id TEXT NOT NULL, config_version INTEGER NOT NULL,
    runnable_config JSONB NOT NULL, metrics JSONB NOT NULL,
    metadata JSONB NOT NULL DEFAULT '{}'::jsonb, artifact_url TEXT NULL,
    is_best BOOLEAN NOT NULL DEFAULT FALSE, created_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
)"""
SEED_INDEXES = """
CREATE INDEX IF NOT EXISTS idx_agentensor_checkpoints_workflow
    ON agentensor_checkpoints(workflow_id, config_version);
CREATE INDEX IF NOT EXISTS idx_agentensor_checkpoints_best
    ON agentensor_checkpoints(workflow_id, is_best)"""


def shape(database: Database) -> list[tuple[Any, ...]]:
    columns = inspect(database.engine).get_columns("agentensor_checkpoints")
    return [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in columns]


def make_seed_table(database: Database) -> None:
    sqlite = database.dialect == "sqlite"
    with database.engine.begin() as connection:
        connection.execute(text(SEED_SQLITE if sqlite else SEED_POSTGRESQL))
        for statement in SEED_INDEXES.split(";"):
            connection.execute(text(statement))


def insert_seed_row(database: Database, **values: Any) -> None:
    row = {"id": uuid.uuid4().hex, "workflow_id": "old", "config_version": 1, "is_best": False}
    row |= {"runnable_config": '{"prompts": {}}', "metrics": '{"score": 0.5}'}
    row |= {"created_at": "2026-01-31T12:00:00Z"} | values
    with database.engine.begin() as connection:
        names = ", ".join(row)
        places = ", ".join(f":{name}" for name in row)
        statement = f"INSERT INTO agentensor_checkpoints ({names}) VALUES ({places})"
        connection.execute(text(statement), row)


def test_the_checkpoint_table_is_the_users_own(empty: Database):
    make_seed_table(empty)
    theirs, their_indexes = shape(empty), index_names(empty)
    with empty.engine.begin() as connection:
        connection.execute(text("DROP TABLE agentensor_checkpoints"))
    migrate.upgrade(empty)
    assert shape(empty) == theirs
    assert index_names(empty) - their_indexes == {
        "uq_agentensor_checkpoints_version",
        "uq_agentensor_checkpoints_one_best",
    }


def test_an_existing_table_is_adopted_with_its_rows(empty: Database):
    make_seed_table(empty)
    insert_seed_row(empty, id="a", config_version=3)
    insert_seed_row(empty, id="b", config_version=7, is_best=True)
    migrate.require_current(empty)
    with empty.writing() as session:
        old = checkpoints.read_checkpoints(session, "old")
        new, _ = checkpoints.create_checkpoint(session, new_checkpoint("c", workflow_id="old"))
    assert [(c.id, c.config_version, c.is_best) for c in old] == [("b", 7, True), ("a", 3, False)]
    assert old[0].metrics == {"score": 0.5} and old[0].metadata == {}
    assert old[0].created_at == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert new.config_version == 8


def test_shared_versions_in_an_adopted_table_are_named_and_nothing_is_changed(empty: Database):
    make_seed_table(empty)
    insert_seed_row(empty, id="a", config_version=2)
    insert_seed_row(empty, id="b", config_version=2)
    with pytest.raises(StorageError, match="'old' version 2 \\('a' and 'b'\\)") as caught:
        migrate.upgrade(empty)
    assert "cornerman db upgrade" in caught.value.hint
    assert tables_of(empty) == {"agentensor_checkpoints"}


def test_of_several_best_in_an_adopted_table_the_newest_stays(empty: Database):
    make_seed_table(empty)
    for version, name in enumerate("abc", start=1):
        insert_seed_row(empty, id=name, config_version=version, is_best=name != "c")
    insert_seed_row(empty, id="z", workflow_id="other", is_best=True)
    migrate.upgrade(empty)
    with empty.reading() as session:
        assert [c.id for c in checkpoints.read_checkpoints(session, "old", best=True)] == ["b"]
        (move,) = checkpoints.read_best_moves(session, "old")
        assert checkpoints.read_best_moves(session, "other") == []
    assert (move["checkpoint_id"], move["previous_id"], move["by"]) == ("b", "a", "db upgrade")


def test_another_table_of_that_name_is_refused(empty: Database):
    with empty.engine.begin() as connection:
        connection.execute(text("CREATE TABLE agentensor_checkpoints (id TEXT PRIMARY KEY)"))
    with pytest.raises(StorageError, match="without its columns artifact_url, config_version"):
        migrate.upgrade(empty)


def test_a_table_of_ours_that_is_somebody_elses_is_told(empty: Database):
    with empty.engine.begin() as connection:
        connection.execute(text("CREATE TABLE runs (id TEXT PRIMARY KEY)"))
    with pytest.raises(StorageError, match=r"could not be migrated|cannot be reached") as caught:
        migrate.upgrade(empty)
    assert "runs" in str(caught.value)
    assert tables_of(empty) == {"runs"}


def test_another_programs_alembic_history_is_left_alone(empty: Database):
    with empty.engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('theirs')"))
    migrate.require_current(empty)
    with empty.engine.connect() as connection:
        query = text("SELECT version_num FROM alembic_version")
        assert connection.execute(query).scalar_one() == "theirs"


def set_revision(database: Database, revision: str) -> None:
    with database.engine.begin() as connection:
        statement = f"UPDATE {migrate.VERSION_TABLE} SET version_num = :revision"
        connection.execute(text(statement), {"revision": revision})


def test_an_old_schema_says_what_to_type(db: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(migrate, "head_revision", lambda: "0999")
    with pytest.raises(SchemaOutdatedError, match="needs '0999'") as caught:
        migrate.require_current(db)
    assert "cornerman db upgrade" in caught.value.hint


def test_a_newer_schema_is_not_touched(db: Database):
    set_revision(db, "9999")
    with pytest.raises(SchemaOutdatedError, match="newer than this Cornerman") as caught:
        migrate.require_current(db)
    assert "newer Cornerman" in caught.value.hint


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://user:hunter2@127.0.0.1:1/x",
        "postgresql+psycopg://user@127.0.0.1:1/x?password=hunter2",
    ],
)
def test_an_unreachable_database_is_named_without_its_password(url: str):
    database = Database(url)
    with pytest.raises(StorageError, match="cannot be reached") as caught:
        migrate.require_current(database)
    database.close()
    assert "hunter2" not in str(caught.value) + caught.value.hint
    assert "127.0.0.1:1/x" in str(caught.value)


def test_a_file_that_is_no_database_is_told(tmp_path: Any):
    path = tmp_path / "cornerman.db"
    path.write_text("no database at all, but long enough to have a header" * 10)
    database = Database(f"sqlite:///{path}")
    with pytest.raises(StorageError, match="not a database"):
        migrate.require_current(database)
    database.close()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Any):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be made") as caught:
        Database(f"sqlite:///{tmp_path}/file/deeper/cornerman.db")
    assert "CORNERMAN_HOME" in caught.value.hint


def _set_up(url: str, barrier: Any, answers: Any) -> None:
    database = Database(url)
    barrier.wait()
    try:
        migrate.require_current(database)
        answers.put(migrate.current_revision(database))
    except Exception as error:  # noqa: BLE001 - the parent shows it
        answers.put(repr(error))
    database.close()


def test_several_processes_may_set_a_database_up_at_once(database_url: str):
    spawn = multiprocessing.get_context("spawn")
    barrier, answers = spawn.Barrier(3), spawn.Queue()
    arguments = (database_url, barrier, answers)
    processes = [spawn.Process(target=_set_up, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    assert {answers.get(timeout=60) for _ in processes} == {migrate.head_revision()}
    for process in processes:
        process.join()


def test_the_head_is_known_without_alembic_and_is_alembics():
    directory = ScriptDirectory(str(Path(migrate.__file__).parent.parent / "migrations"))
    assert migrate.head_revision() == directory.get_current_head()
