"""The shared Prefect server is killed and hung under commands: they go on, and say so."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import text

from cornerman.flows.plumbing.home_server import ServerHome, end_process
from cornerman.storage.database import Database
from tests.support.command import COMMAND, run_cornerman
from tests.support.forked_trainings import ROOT

EXAMPLE = ROOT / "cornerman" / "examples" / "quickstart.yaml"


def rows(home: Path, query: str) -> list[dict[str, Any]]:
    database = Database(f"sqlite:///{home / 'cornerman.db'}")
    try:
        with database.reading() as session:
            return [dict(row) for row in session.execute(text(query)).mappings()]
    finally:
        database.close()


def until(true: Callable[[], object], seconds: float) -> None:
    give_up = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.1)


@pytest.fixture
def servers(cornerman_home: Path) -> Iterator[ServerHome]:
    home = ServerHome(cornerman_home)
    yield home
    for folder in home.folders():
        end_process(folder.read(), gently=False)


@pytest.mark.slow
@pytest.mark.parametrize("idle_seconds", ["60", "0"])
def test_a_training_goes_on_when_its_server_is_killed_and_says_so(
    tmp_path: Path, cornerman_home: Path, servers: ServerHome, idle_seconds: str
) -> None:
    run_cornerman("db", "upgrade", home=cornerman_home, cwd=tmp_path)
    env = os.environ | {"PREFECT_IDLE_SECONDS": idle_seconds, "REHEARSAL_LATENCY_MS": "1500"}
    env |= {"TMPDIR": str(tmp_path)}
    command = [COMMAND, "train", EXAMPLE, "--run-id", "r1", "--json"]
    with subprocess.Popen(
        command, env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as training:
        until(lambda: rows(cornerman_home, "SELECT * FROM case_results LIMIT 1"), 60)
        os.kill(_server_of(tmp_path, servers), signal.SIGKILL)
        _, said = training.communicate(timeout=150)
    assert training.returncode == 0, said
    assert "The embedded Prefect server has ended; it is started again." in said
    told = [row["event"] for row in rows(cornerman_home, "SELECT event FROM events ORDER BY seq")]
    assert told.index("prefect_away") < told.index("prefect_back")
    assert told[-1] == "training_result"
    assert rows(cornerman_home, "SELECT * FROM llm_calls WHERE status = 'reserved'") == []
    [run] = rows(cornerman_home, "SELECT status FROM runs")
    assert run["status"] == "completed"
    assert len(servers.living()) == (1 if idle_seconds == "60" else 0)


def _server_of(tmp_path: Path, servers: ServerHome) -> int:
    found = [record.pid for _, record in servers.living()]
    for path in tmp_path.glob("cornerman-prefect-*/server.json"):
        found.append(yaml.safe_load(path.read_text())["pid"])
    [pid] = found
    return pid


@pytest.mark.slow
def test_commands_in_a_row_and_at_once_share_one_server_that_survives_their_kill(
    tmp_path: Path, cornerman_home: Path, servers: ServerHome
) -> None:
    env = os.environ | {"PREFECT_IDLE_SECONDS": "3"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    spec = yaml.safe_load(EXAMPLE.read_text()) | {"optimizer": {"epochs": 1}}
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
    train = [COMMAND, "train", tmp_path / "spec.yaml", "--json"]
    with (
        subprocess.Popen(train, env=env, cwd=tmp_path, **quiet) as first,
        subprocess.Popen(train, env=env, cwd=tmp_path, **quiet) as second,
    ):
        until(servers.living, 20)
        first.kill()
        assert second.wait(90) == 0
    [(folder, record)] = servers.living()
    assert subprocess.run(train, env=env, cwd=tmp_path, check=True, **quiet).returncode == 0
    assert folder.read() == record, "the same one"
    until(lambda: not record.lives, 15)
    assert not servers.path.exists()
