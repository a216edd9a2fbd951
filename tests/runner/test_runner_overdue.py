"""Runs whose processes do not end, or have ended: both are seen from outside, soon."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cornerman.flows.plumbing.processes import is_gone
from cornerman.runner import launches
from cornerman.runner.launches import Launch, LaunchFolder
from cornerman.runner.overdue import end_overdue
from cornerman.runner.start import cancel_run
from cornerman.runner.supervisor import Supervisor
from cornerman.settings import load_settings
from cornerman.storage import budgets, runs, workflows
from cornerman.storage.database import Database
from cornerman.storage.tables import runs as run_rows

FROZEN = """
import re, signal
from cornerman.flows.plumbing.processes import process_owner
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: None)
print(process_owner(), flush=True)
re.search("(a+)+$", "a" * 60 + "!")
"""
LONG_AGO = "2026-01-01T00:00:00.000000"


@pytest.fixture
def frozen(sqlite_db: Database) -> Iterator[subprocess.Popen[str]]:
    """A process that works on the run `r` and answers nothing any more."""
    with subprocess.Popen(
        [sys.executable, "-c", FROZEN], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        _claimed(sqlite_db, process.stdout.readline().strip())
        try:
            yield process
        finally:
            process.kill()


def _claimed(db: Database, owner: str) -> None:
    with db.writing() as session:
        workflows.create_workflow(session, "w")
        runs.create_run(
            session,
            run_id="r",
            kind="train",
            workflow_id="w",
            request={},
            random_state={},
            simulated=True,
        )
        runs.claim_run(session, "r", owner)


def _set(db: Database, **values: Any) -> None:
    columns = ", ".join(f"{name} = '{value}'" for name, value in values.items())
    with db.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {run_rows.name} SET {columns}")


def _run(db: Database) -> Any:
    with db.reading() as session:
        return runs.read_run(session, "r")


async def test_a_process_that_does_not_heed_its_cancel_is_ended(
    sqlite_db: Database, frozen: subprocess.Popen[str]
) -> None:
    await cancel_run(sqlite_db, "r", settings=load_settings(env_file=None))
    assert await end_overdue(sqlite_db) == [], "it has a grace"
    _set(sqlite_db, cancel_requested_at=LONG_AGO)
    assert await end_overdue(sqlite_db) == ["r"]
    assert frozen.wait(10) == -9
    assert (_run(sqlite_db).status, _run(sqlite_db).stopped_by) == ("cancelled", "cancelled")


async def test_a_process_that_does_not_heed_the_kill_switch_is_ended(
    sqlite_db: Database, frozen: subprocess.Popen[str]
) -> None:
    with sqlite_db.writing() as session:
        budgets.create_kill_switch_state(session, active=True, reason="odd", by="me")
    with sqlite_db.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE kill_switch SET since = '{LONG_AGO}'")
    assert await end_overdue(sqlite_db) == [], "its heart beats: it may have heard"
    _set(sqlite_db, heartbeat_at=LONG_AGO)
    assert await end_overdue(sqlite_db) == ["r"]
    assert frozen.wait(10) == -9
    assert (_run(sqlite_db).status, _run(sqlite_db).stopped_by) == ("stopped", "kill_switch")


async def test_a_cancel_ends_a_process_that_has_been_silent_for_long_at_once(
    sqlite_db: Database, frozen: subprocess.Popen[str]
) -> None:
    _set(sqlite_db, heartbeat_at=LONG_AGO)
    run = await cancel_run(sqlite_db, "r", settings=load_settings(env_file=None))
    assert run.status == "cancelled" and frozen.wait(10) == -9


async def test_anothers_processes_are_left_alone(sqlite_db: Database) -> None:
    _claimed(sqlite_db, "elsewhere:1:77-x")
    _set(sqlite_db, cancel_requested_at=LONG_AGO)
    assert await end_overdue(sqlite_db) == []
    assert _run(sqlite_db).status == "running"


async def test_a_run_whose_process_has_ended_is_started_again_while_its_heartbeat_is_young(
    sqlite_db: Database, cornerman_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "from cornerman.flows.plumbing.processes import process_owner; print(process_owner())"
    owner = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert is_gone(owner)
    _claimed(sqlite_db, owner)
    monkeypatch.setattr(
        launches, "command", lambda *_: [sys.executable, "-c", "import time; time.sleep(60)"]
    )
    folder = LaunchFolder(cornerman_home)
    folder.write(Launch("r", "train", {}, starts=1))
    await Supervisor(sqlite_db, folder).look()
    assert folder.has_process("r") and folder.kill("r")
