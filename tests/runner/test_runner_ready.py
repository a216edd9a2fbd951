"""A process that waits for its run: it works on it as one that was started for it would."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cornerman.domain.training import TrainParameters
from cornerman.domain.training.parse import parse_train_spec
from cornerman.flows.plumbing.home_server import ServerHome, end_process
from cornerman.flows.plumbing.processes import is_process, started_at
from cornerman.runner import LaunchFolder, create_training_run, launches, start_run
from cornerman.runner.launches import Launch, runner_kept_ready
from cornerman.runner.ready import ReadyRunner
from cornerman.settings import Settings, load_settings
from cornerman.storage import runs
from cornerman.storage.database import Database, migrate

CASES = [{"inputs": {"message": f"Parcel {n}?"}, "expected_output": "ok"} for n in range(6)]
SPEC: dict[str, Any] = {
    "workflow_id": "w",
    "dataset": {"cases": CASES},
    "evaluators": [{"id": "same", "entrypoint": "exact_match"}],
    "optimizer": {"epochs": 1},
    "prompts": {"system": {"text": "Answer.", "requires_grad": True}},
}


def until(true: Callable[[], object], seconds: float) -> None:
    give_up = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.05)


@pytest.fixture(name="settings")
def _settings(cornerman_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setenv("PREFECT_IDLE_SECONDS", "60")
    yield load_settings()
    for folder in ServerHome(cornerman_home).folders():
        end_process(folder.read(), gently=False)


@pytest.fixture(name="home_db")
def _home_db(settings: Settings) -> Iterator[Database]:
    database = Database(settings.database_url().url.get_secret_value())
    migrate.upgrade(database)
    yield database
    database.close()


@pytest.mark.slow
async def test_a_run_is_given_to_the_process_that_waits(
    settings: Settings, home_db: Database
) -> None:
    folder = LaunchFolder(settings.home)
    request = TrainParameters.model_validate(dict(parse_train_spec(SPEC, source="http")))
    with runner_kept_ready(settings):
        [ready] = launches._ready
        child = ready._child
        assert child is not None
        begun = started_at(child.pid)
        run, parameters, _ = await create_training_run(home_db, settings, request)
        await start_run(home_db, "train", parameters, run.id, settings=settings)
        until(lambda: _run(home_db, run.id).finished, 90)
        launch = folder.read(run.id)
    assert launch is None or launch.pid == child.pid
    assert _run(home_db, run.id).status == "completed"
    until(lambda: not is_process(child.pid, begun), 15)
    until(lambda: not folder.has_process(run.id), 5)


def _run(db: Database, run_id: str) -> Any:
    with db.reading() as session:
        return runs.read_run(session, run_id)


def test_it_is_let_go_of_when_no_run_comes_and_at_the_end(settings: Settings) -> None:
    runner = ReadyRunner(idle_seconds=0.5)
    runner.make()
    child = runner._child
    assert child is not None
    until(lambda: child.returncode is not None, 5)
    assert runner.take("train", "r", 0, 1) is None
    runner.close()
    runner.make()
    assert runner._child is None, "closed is for good"


def test_it_ends_with_whoever_holds_it(settings: Settings) -> None:
    runner = ReadyRunner(idle_seconds=60)
    runner.make()
    child, held = runner._child, runner._socket
    assert child is not None and held is not None
    held.close()
    assert child.wait(40) == 0
    runner.close()


def test_a_dead_one_is_not_given_a_run(settings: Settings, tmp_path: Path) -> None:
    runner = ReadyRunner(idle_seconds=60)
    runner.make()
    child = runner._child
    assert child is not None
    child.kill()
    child.wait()
    with (tmp_path / "log").open("wb") as log:
        assert runner.take("train", "r", os.dup(log.fileno()), log.fileno()) is None
    runner.close()


def test_none_is_held_where_runs_are_not_processes_of_here(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_IDLE_SECONDS", "0")
    with runner_kept_ready(load_settings()):
        assert launches._ready == []
    monkeypatch.setenv("PREFECT_IDLE_SECONDS", "60")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    with runner_kept_ready(load_settings()):
        assert launches._ready == []


def test_a_launch_without_a_ready_process_starts_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launches, "command", lambda _kind, _run_id: ["sleep", "60"])
    folder = LaunchFolder(settings.home)
    assert launches.start_process(folder, Launch("r", "train", {}))
    assert folder.kill("r")
