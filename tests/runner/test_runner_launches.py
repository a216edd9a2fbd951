"""Processes of runs: who lives, who is started again, and who is given up."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cornerman.domain.errors import CornermanError
from cornerman.runner import LaunchFolder, Supervisor, cancel_run, launches, start_run
from cornerman.runner.launches import Launch
from cornerman.runner.supervisor import MOST_RESTARTS
from cornerman.settings import load_settings
from cornerman.storage import runs, workflows
from cornerman.storage.database import Database


@pytest.fixture
def folder(cornerman_home: Path) -> LaunchFolder:
    return LaunchFolder(cornerman_home)


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What stands for a run's process; a test sets its code."""
    code = ["import time; time.sleep(60)"]

    def command(_kind: str, _run_id: str) -> list[str]:
        return [sys.executable, "-S", "-c", code[0]]

    monkeypatch.setattr(launches, "command", command)
    return code


def _pending(db: Database, run_id: str = "r") -> None:
    with db.writing() as session:
        workflows.create_workflow(session, "w")
        runs.create_run(
            session,
            run_id=run_id,
            kind="train",
            workflow_id="w",
            request={},
            random_state={},
            simulated=True,
        )


def _status(db: Database, run_id: str = "r") -> str:
    with db.reading() as session:
        run = runs.read_run(session, run_id)
        assert run is not None
        return run.status


async def test_a_run_has_one_process_however_often_it_is_started(
    folder: LaunchFolder, program: list[str]
) -> None:
    launch = Launch("r", "train", {"api_key": "secret"})
    assert launches.start_process(folder, launch) is True
    assert launches.start_process(folder, launch) is False
    assert folder.has_process("r") and folder.run_ids() == ["r"]
    assert folder.kill("r") and not folder.has_process("r")
    assert launches.start_process(folder, launch) is True
    assert folder.kill("r")


def test_parameters_are_readable_by_their_owner_alone_and_on_no_command_line(
    folder: LaunchFolder, cornerman_home: Path
) -> None:
    folder.write(Launch("r", "train", {"evaluators": [{"config": {"api_key": "secret"}}]}))
    stored = cornerman_home / "launches" / "r.json"
    assert stored.stat().st_mode & 0o077 == 0
    assert "secret" not in " ".join(launches.command("train", "r"))
    read = folder.read("r")
    assert read is not None and read.parameters["evaluators"][0]["config"]["api_key"] == "secret"
    folder.remove("r")
    assert folder.read("r") is None and folder.run_ids() == []


async def test_a_pending_run_whose_process_died_is_started_again_three_times_and_then_failed(
    sqlite_db: Database, folder: LaunchFolder, program: list[str]
) -> None:
    program[0] = "pass"
    _pending(sqlite_db)
    launches.start_process(folder, Launch("r", "train", {}))
    supervisor = Supervisor(sqlite_db, folder)
    give_up = time.monotonic() + 20
    while _status(sqlite_db) == "pending":
        assert time.monotonic() < give_up
        await supervisor.look()
    launch = folder.read("r")
    assert launch is not None and launch.starts == MOST_RESTARTS + 1
    with sqlite_db.reading() as session:
        run = runs.read_run(session, "r")
    assert run is not None and run.status == "failed" and run.error is not None
    assert "died 4 times" in run.error["message"] and "r.log" in run.error["hint"]
    await supervisor.look()
    assert folder.run_ids() == [], "an ended run is forgotten"


async def test_a_running_run_is_left_alone_while_its_heart_beats(
    sqlite_db: Database, folder: LaunchFolder, program: list[str]
) -> None:
    _pending(sqlite_db)
    with sqlite_db.writing() as session:
        runs.claim_run(session, "r", "elsewhere:1:x")
    folder.write(Launch("r", "train", {}, starts=1))
    await Supervisor(sqlite_db, folder).look()
    assert not folder.has_process("r")
    with sqlite_db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE runs SET heartbeat_at = '2026-01-01T00:00:00.000000'")
    await Supervisor(sqlite_db, folder).look()
    assert folder.has_process("r") and folder.kill("r")


async def test_runs_orphaned_before_a_gateway_began_are_taken_up_by_it(
    sqlite_db: Database, folder: LaunchFolder, program: list[str], cornerman_home: Path
) -> None:
    _pending(sqlite_db)
    folder.write(Launch("r", "train", {}, starts=1))
    await Supervisor(sqlite_db, LaunchFolder(cornerman_home)).look()
    assert folder.has_process("r")
    assert folder.kill("r")


async def test_a_pending_run_is_cancelled_with_its_process(
    sqlite_db: Database, folder: LaunchFolder, program: list[str]
) -> None:
    _pending(sqlite_db)
    settings = load_settings(env_file=None)
    await start_run(sqlite_db, "train", {}, "r", settings=settings)
    assert folder.has_process("r")
    run = await cancel_run(sqlite_db, "r", settings=settings)
    assert (run.status, run.stopped_by) == ("cancelled", "cancelled")
    assert not folder.has_process("r")


async def test_a_cancelled_run_whose_process_died_ends_at_the_next_look(
    sqlite_db: Database, folder: LaunchFolder
) -> None:
    _pending(sqlite_db)
    with sqlite_db.writing() as session:
        runs.claim_run(session, "r", "elsewhere:1:x")
        runs.request_cancel(session, "r")
    folder.write(Launch("r", "train", {}, starts=1))
    await Supervisor(sqlite_db, folder).look()
    assert _status(sqlite_db) == "cancelled"


async def test_a_run_that_cannot_be_started_is_failed_and_not_left_pending(
    sqlite_db: Database, monkeypatch: pytest.MonkeyPatch, cornerman_home: Path
) -> None:
    _pending(sqlite_db)
    cornerman_home.parent.mkdir(exist_ok=True)
    cornerman_home.write_text("a file where the folder should be")
    with pytest.raises((CornermanError, OSError)):
        await start_run(sqlite_db, "train", {}, "r", settings=load_settings(env_file=None))
    assert _status(sqlite_db) == "failed"


def _run_process(db: Database, run_id: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("USE_LOCAL_DB", "true")
    monkeypatch.setenv("LOCAL_DB_URL", str(db.engine.url))
    return subprocess.run(
        [*launches.command("train", run_id)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_process_leaves_ended_and_unknown_runs_alone(
    sqlite_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pending(sqlite_db)
    with sqlite_db.writing() as session:
        runs.request_cancel(session, "r")
    assert _run_process(sqlite_db, "r", monkeypatch).returncode == 0
    assert _status(sqlite_db) == "cancelled"
    assert _run_process(sqlite_db, "none", monkeypatch).returncode == 2


def test_a_request_that_its_process_cannot_run_ends_as_failed_with_the_cause(
    sqlite_db: Database, monkeypatch: pytest.MonkeyPatch, folder: LaunchFolder
) -> None:
    _pending(sqlite_db)
    folder.write(Launch("r", "train", {"workflow_id": "w", "dataset": {}}))
    assert _run_process(sqlite_db, "r", monkeypatch).returncode == 1
    with sqlite_db.reading() as session:
        run = runs.read_run(session, "r")
    assert run is not None and run.status == "failed"
    assert run.error is not None and "dataset" in json.dumps(run.error)
