"""Prefect's server writes many rows with a statement that is compiled once, and the same rows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import JSON, create_engine, event, func, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from cornerman.flows.plumbing.rows_at_once import rows_taken, write_rows_beside
from tests.support.forked_trainings import ROOT


class _Base(DeclarativeBase):
    pass


class _Task(_Base):
    __tablename__ = "task"

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str | None]
    tags: Mapped[Any] = mapped_column(JSON, default=list)
    at: Mapped[int] = mapped_column(default=7)


ROWS = [
    {"id": 1, "state": "Running", "tags": ["a"]},
    {"id": 2, "state": None, "tags": None},
    {"id": 3, "state": "Done", "tags": []},
]


@pytest.fixture(name="statements")
def _statements() -> Iterator[list[tuple[str, bool]]]:
    from cornerman.flows.plumbing import rows_at_once

    seen: list[tuple[str, bool]] = []
    write_rows_beside()
    write_rows_beside()  # once is enough
    yield seen
    event.remove(Session, "do_orm_execute", rows_at_once._rows_beside)


def stored(statements: list[tuple[str, bool]], *given: Any) -> list[tuple[Any, ...]]:
    engine = create_engine("sqlite://")
    _Base.metadata.create_all(engine)

    def note(_c: Any, _cursor: Any, text: str, _p: Any, _context: Any, many: bool) -> None:
        statements.append((text, many))

    event.listen(engine, "before_cursor_execute", note)
    with Session(engine) as session:
        for statement in given:
            session.execute(statement)
        session.commit()
        columns = (_Task.id, _Task.state, _Task.tags, _Task.at)
        return [tuple(row) for row in session.execute(select(*columns).order_by(_Task.id))]


def upsert(rows: list[dict[str, Any]]) -> Any:
    made = insert(_Task).values(rows)
    return made.on_conflict_do_update(
        index_elements=["id"],
        set_={"state": func.coalesce(made.excluded.state, _Task.state), "at": made.excluded.at},
        where=_Task.at <= made.excluded.at,
    )


def test_the_same_rows_are_stored_as_by_the_statement_as_it_came(
    statements: list[tuple[str, bool]],
) -> None:
    changed = [{"id": 1, "state": None, "at": 9}, {"id": 3, "state": "Late", "at": 1}]
    found = stored(statements, upsert(ROWS), upsert(changed))
    inserts = [(text, many) for text, many in statements if text.startswith("INSERT")]
    assert [many for _, many in inserts] == [True, True]
    assert all(text.count("?") < 8 for text, _ in inserts), "one row's parameters"
    assert found == [(1, "Running", ["a"], 9), (2, None, None, 7), (3, "Done", [], 7)]


def test_what_cannot_be_taken_apart_goes_as_it_came(statements: list[tuple[str, bool]]) -> None:
    returning = insert(_Task).values(ROWS).returning(_Task.id)
    assert rows_taken(returning) is None
    assert rows_taken(insert(_Task).values(id=1)) is None
    assert rows_taken(insert(_Task)) is None
    assert len(stored(statements, returning)) == 3


_RECORD = """
import asyncio, datetime, json, uuid
from cornerman.flows.plumbing.rows_at_once import write_rows_beside
write_rows_beside()
from prefect.server.database import provide_database_interface
from prefect.server.events.schemas.events import ReceivedEvent
from prefect.server.services.task_run_recorder import record_bulk_task_run_events
from sqlalchemy import event, text
from sqlalchemy.engine import Engine

ids = [uuid.UUID(int=number) for number in range(1, 31)]
many = []

def told(n, kind, task_id):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=n)
    state = {"type": kind.upper(), "name": kind, "message": None, "state_details": {}}
    task = {"name": f"case {n}", "task_key": "case", "dynamic_key": str(task_id), "tags": ["x"]}
    return ReceivedEvent(
        id=uuid.uuid4(), occurred=at, received=at, event=f"prefect.task-run.{kind}",
        resource={"prefect.resource.id": f"prefect.task-run.{task_id}"},
        payload={"validated_state": state, "task_run": task},
    )

async def main():
    db = provide_database_interface()
    await db.create_db()

    @event.listens_for(Engine, "before_cursor_execute")
    def note(conn, cursor, statement, parameters, context, executemany):
        if statement.startswith("INSERT INTO task_run"):
            many.append(executemany)

    await record_bulk_task_run_events([told(1, "Running", i) for i in ids])
    await record_bulk_task_run_events([told(2, "Completed", i) for i in ids])
    async with db.session_context() as session:
        count = "SELECT state_name, count(*), max(tags), max(name) FROM task_run GROUP BY 1"
        tasks = [list(row) for row in await session.execute(text(count))]
        states = "SELECT name, count(*) FROM task_run_state GROUP BY 1 ORDER BY 1"
        kept = [list(row) for row in await session.execute(text(states))]
    print(json.dumps({"many": many, "tasks": tasks, "states": kept}))

asyncio.run(main())
"""


def test_prefects_own_recorder_keeps_every_task_run_and_state(tmp_path: Path) -> None:
    """In a process of its own: Prefect's database is a process's one and only."""
    import json
    import os

    environment = os.environ | {
        "PREFECT_HOME": str(tmp_path),
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}",
    }
    done = subprocess.run(
        [sys.executable, "-c", _RECORD],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["tasks"] == [["Completed", 30, '["x"]', "case 2"]]
    assert found["states"] == [["Completed", 30], ["Running", 30]]
    assert len(found["many"]) == 4
    assert all(found["many"])
