"""The writer: shared transactions, each function's error its own, nothing acknowledged lost."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from cornerman.domain.errors import StorageError
from cornerman.storage import workflows
from cornerman.storage.database import Database, writer


@contextlib.asynccontextmanager
async def one_batch(db: Database) -> AsyncGenerator[None]:
    """Hold the writer, so that all writes given inside share the next transaction."""
    release = threading.Event()
    holding = asyncio.create_task(db.write(lambda session: release.wait(10)))
    await asyncio.sleep(0.02)
    try:
        yield
        await asyncio.sleep(0.02)
    finally:
        release.set()
        await holding


def create(db: Database, name: str) -> asyncio.Task[None]:
    return asyncio.ensure_future(db.write(workflows.create_workflow, name))


def stored(db: Database) -> list[str]:
    with db.reading() as session:
        return workflows.read_workflow_ids(session)


def transaction_id(session: Session) -> Any:
    # Savepoints have ids of their own; the advisory lock tells the transaction.
    return session.connection().get_transaction()


def then_raise(error: Exception) -> Callable[[Session], None]:
    def write(session: Session) -> None:
        workflows.create_workflow(session, "undone")
        raise error

    return write


async def test_writes_that_wait_together_share_a_transaction(db: Database):
    async with one_batch(db):
        tasks = [asyncio.create_task(db.write(transaction_id)) for _ in range(5)]
    assert len({id(await task) for task in tasks}) == 1


async def test_an_error_undoes_its_own_function_alone(db: Database):
    async with one_batch(db):
        first = create(db, "first")
        broken = asyncio.ensure_future(db.write(then_raise(ValueError("mine"))))
        last = create(db, "last")
    await asyncio.gather(first, last)
    with pytest.raises(ValueError, match="mine"):
        await broken
    assert stored(db) == ["first", "last"]


async def test_a_statement_that_the_database_refuses_fails_its_own_function_at_once(db: Database):
    async with one_batch(db):
        broken = asyncio.ensure_future(db.write(lambda s: s.execute(text("SELECT * FROM absent"))))
        last = create(db, "last")
    with pytest.raises(Exception, match="absent"):
        await asyncio.wait_for(broken, 1)
    await last
    assert stored(db) == ["last"]


async def test_an_error_of_a_function_alone_in_its_transaction_undoes_it(db: Database):
    with pytest.raises(ValueError, match="alone"):
        await db.write(then_raise(ValueError("alone")))
    assert stored(db) == []


async def test_a_broken_constraint_reaches_its_caller(db: Database):
    insert = text("INSERT INTO kill_switch (id, active, reason, by, since) SELECT 1,1,1,1,1")
    if db.dialect == "postgresql":
        insert = text("INSERT INTO leases VALUES (NULL, '', NULL)")
    with pytest.raises(IntegrityError):
        await db.write(lambda s: [s.execute(insert), s.execute(insert)])


async def test_writes_happen_in_the_order_in_which_they_were_given(db: Database):
    order = list[int]()
    await asyncio.gather(*(db.write(lambda _, n=n: order.append(n)) for n in range(200)))
    assert order == list(range(200))


async def test_a_cancelled_callers_write_stands(db: Database):
    async with one_batch(db):
        left = create(db, "left")
        await asyncio.sleep(0)
        left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    await db.write(lambda session: None)
    assert stored(db) == ["left"]


async def test_closing_finishes_what_waits(db: Database):
    async with one_batch(db):
        tasks = [create(db, f"w{n}") for n in range(100)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(asyncio.to_thread(db.close))
        await asyncio.sleep(0.02)
    await asyncio.gather(*tasks, closing)
    assert len(stored(db)) == 100


async def test_a_closed_database_takes_no_more_writes(db: Database):
    db.close()
    db.close()
    with pytest.raises(StorageError, match="closed"):
        await db.write(workflows.create_workflow, "late")


async def test_a_read_sees_what_was_committed_and_leaves_nothing(db: Database):
    await db.write(workflows.create_workflow, "w")
    await db.read(workflows.create_workflow, "thrown away")
    assert await db.read(workflows.read_workflow_ids) == ["w"]


def test_writing_rolls_back_on_an_error(db: Database):
    with pytest.raises(ValueError, match="no"), db.writing() as session:
        workflows.create_workflow(session, "undone")
        raise ValueError("no")
    assert stored(db) == []


def test_a_sqlite_file_is_opened_for_many_processes_and_pulled_plugs(sqlite_db: Database):
    with sqlite_db.engine.connect() as connection:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names]
    assert found == ["wal", 2, 1, 30_000]


def test_foreign_keys_hold(db: Database):
    statement = text("INSERT INTO run_steps VALUES ('absent', 'k', '{}', '2026-01-01T00:00:00Z')")
    with pytest.raises(IntegrityError), db.writing() as session:
        session.execute(statement)


def kills_its_connection(times: int) -> Callable[[Session], None]:
    """A function whose connection is cut in the middle, the first few times."""
    killed = list[int]()

    def write(session: Session) -> None:
        workflows.create_workflow(session, "survives")
        if len(killed) < times:
            killed.append(session.execute(text("SELECT pg_backend_pid()")).scalar_one())
            session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    return write


async def test_a_connection_cut_in_the_middle_costs_nobody_a_write(postgres_db: Database):
    async with one_batch(postgres_db):
        tasks = [create(postgres_db, "before")]
        tasks.append(asyncio.ensure_future(postgres_db.write(kills_its_connection(3))))
        tasks.append(create(postgres_db, "after"))
    await asyncio.gather(*tasks)
    assert stored(postgres_db) == ["after", "before", "survives"]


async def test_a_connection_cut_between_writes_is_made_anew(postgres_db: Database):
    await postgres_db.write(workflows.create_workflow, "a")
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    with postgres_db.reading() as session:
        session.execute(text(f"{others} AND datname = current_database()"))
    await postgres_db.write(workflows.create_workflow, "b")
    assert await postgres_db.read(workflows.read_workflow_ids) == ["a", "b"]


async def test_a_database_that_stays_away_is_told_without_its_password(
    postgres_db: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(writer, "_GIVE_UP_SECONDS", 0.2)
    url = postgres_db.engine.url.set(port=1, password="hunter2")
    gone = Database(url.render_as_string(hide_password=False))
    with pytest.raises(StorageError, match="cannot be reached") as caught:
        await gone.write(workflows.create_workflow, "w")
    with pytest.raises(StorageError, match="cannot be reached"):
        await gone.read(workflows.read_workflow_ids)
    await asyncio.to_thread(gone.close)
    assert "hunter2" not in str(caught.value)


def test_a_command_is_told_too_that_the_database_is_away(postgres_db: Database):
    gone = Database(postgres_db.engine.url.set(port=1).render_as_string(hide_password=False))
    with pytest.raises(StorageError, match="cannot be reached"), gone.reading():
        pass
    with pytest.raises(StorageError, match="cannot be reached"), gone.writing():
        pass
    gone.close()


async def test_a_file_that_another_holds_for_a_while_is_waited_for(sqlite_db: Database):
    with sqlite_db.writing():
        waiting = create(sqlite_db, "w")
        await asyncio.sleep(0.2)
        assert not waiting.done()
    await waiting
    assert stored(sqlite_db) == ["w"]


async def test_an_error_does_not_quote_what_was_to_be_stored(db: Database):
    statement = text("INSERT INTO absent VALUES (:secret)")
    with pytest.raises(Exception, match="absent") as caught:
        await db.write(lambda s: s.execute(statement, {"secret": "hunter2"}))
    assert "hunter2" not in str(caught.value)
    assert not isinstance(caught.value, OperationalError) or db.dialect == "sqlite"
