"""Trainings that are killed at random moments and resumed end as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from prefect.settings import PREFECT_API_URL
from sqlalchemy import text

from cornerman.storage.database import Database
from tests.support.command import COMMAND
from tests.support.forked_trainings import (
    ROOT,
    ForkedTrainings,
    ends_within,
    kill_and_count_left,
)

KILLS = 20
CONCURRENCY = 4
EXAMPLE = ROOT / "cornerman" / "examples" / "triage.yaml"


def _request(**changes: Any) -> dict[str, Any]:
    """24 cases of the example, three epochs, answered by the rehearsal endpoint."""
    spec = yaml.safe_load(EXAMPLE.read_text())
    spec["dataset"]["path"] = str(EXAMPLE.parent / spec["dataset"]["path"])
    optimizer = {"epochs": 3, "max_concurrency": CONCURRENCY, "seed": 7} | changes
    return spec | {"max_cases": 24, "optimizer": optimizer}


@pytest.fixture
def trainings(prefect_harness: None) -> Iterator[ForkedTrainings]:
    env = {"PREFECT_API_URL": str(PREFECT_API_URL.value()), "PREFECT_LOGGING_LEVEL": "CRITICAL"}
    with ForkedTrainings(**env) as forked:
        yield forked


class Home:
    """One CORNERMAN_HOME and what a training left in its database."""

    def __init__(self, folder: Path, template: Path) -> None:
        folder.mkdir()
        shutil.copyfile(template, folder / "cornerman.db")
        self.env = {"CORNERMAN_HOME": str(folder)}
        self.url = f"sqlite:///{folder / 'cornerman.db'}"

    def rows(self, query: str) -> list[dict[str, Any]]:
        database = Database(self.url)
        try:
            with database.reading() as session:
                return [dict(row) for row in session.execute(text(query)).mappings()]
        finally:
            database.close()

    def status(self) -> str | None:
        found = self.rows("SELECT status FROM runs")
        return found[0]["status"] if found else None

    def outcome(self) -> dict[str, Any]:
        """What must be the same however often the run was killed."""
        candidates = self.rows("SELECT id, parent_id, epoch, prompts, decision FROM candidates")
        cases = self.rows(
            "SELECT candidate_id, case_id, split, epoch, status, output, evaluations, score "
            "FROM case_results"
        )
        stored = self.rows("SELECT * FROM agentensor_checkpoints ORDER BY config_version")
        kept = ("id", "config_version", "runnable_config", "metrics", "is_best")
        result = json.loads(self.rows("SELECT result FROM runs")[0]["result"])
        scores = ("seed_score", "validation_score", "test_score", "improvement", "prompts", "cases")
        return {
            "candidates": sorted(map(str, candidates)),
            "cases": sorted(map(str, cases)),
            "checkpoints": [
                [row[name] for name in kept] + [json.loads(row["metadata"])] for row in stored
            ],
            "result": {name: result[name] for name in scores},
        }


def _uninterrupted(trainings: ForkedTrainings, home: Home) -> float:
    began = time.monotonic()
    process = trainings.start(_request(), "r1", **home.env)
    assert ends_within(process, 60)
    assert home.status() == "completed"
    return time.monotonic() - began


def _killed_until_done(
    trainings: ForkedTrainings, home: Home, rng: random.Random, longest: float, kills: int
) -> int:
    """Kill the run at random moments until it is done anyway; return how often it was killed."""
    killed = 0
    while home.status() != "completed":
        process = trainings.start(_request(), "r1", **home.env)
        moment = rng.uniform(0.05, longest) if killed < kills else 60.0
        if ends_within(process, moment):
            continue
        assert kill_and_count_left(process) == 0
        killed += 1
    return killed


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_twenty_kills_change_nothing(
    trainings: ForkedTrainings, tmp_path: Path, sqlite_template: Path
) -> None:
    reference = Home(tmp_path / "reference", sqlite_template)
    duration = _uninterrupted(trainings, reference)
    expected = reference.outcome()
    assert len(expected["candidates"]) > 2 and len(expected["checkpoints"]) == 3

    rng, killed, number = random.Random(20), 0, 0
    while killed < KILLS:
        number += 1
        home = Home(tmp_path / f"killed-{number}", sqlite_template)
        here = _killed_until_done(trainings, home, rng, 0.6 * duration, min(6, KILLS - killed))
        killed += here
        assert home.outcome() == expected, f"home {number}, killed {here} times"
        _check_money(home, here)
        _check_events(home)


def _check_money(home: Home, kills: int) -> None:
    assert home.rows("SELECT * FROM llm_calls WHERE status = 'reserved'") == []
    paid = Counter(
        (row["subject"], row["role"])
        for row in home.rows("SELECT subject, role FROM llm_calls WHERE outcome = 'ok'")
    )
    # Each kill may cost the cases in flight once more, and nothing else.
    assert sum(paid.values()) - len(paid) <= kills * CONCURRENCY
    lost = home.rows("SELECT * FROM llm_calls WHERE outcome = 'unknown'")
    assert len(lost) <= kills * CONCURRENCY
    spent = home.rows("SELECT SUM(cost_pico) AS spent FROM llm_calls")[0]["spent"]
    [budget] = home.rows("SELECT * FROM budgets WHERE name = 'run:r1'")
    assert (budget["spent_pico"], budget["reserved_pico"]) == (spent, 0)


def _check_events(home: Home) -> None:
    events = home.rows("SELECT * FROM events ORDER BY seq")
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    told = Counter[str]()
    for event in events:
        payload = json.loads(event["payload"])
        keys = ("candidate_id", "case_id", "repeat", "id", "epoch")
        told[f"{event['event']} {[payload.get(key) for key in keys]}"] += 1
    assert [name for name, times in told.items() if times > 1] == []
    assert events[-1]["event"] == "training_result"


def _prefect_servers() -> set[int]:
    return {
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if "cornerman.flows.plumbing.embedded_server" in (process.info["cmdline"] or [])
    }


def test_a_killed_command_leaves_no_process_and_is_resumed_at_once(
    tmp_path: Path, sqlite_template: Path
) -> None:
    home = Home(tmp_path / "home", sqlite_template)
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(_request(epochs=2)))
    # Its own folder for temporary files shows what is left of the embedded server's.
    (tmp_path / "tmp").mkdir()
    env = os.environ | home.env | {"TMPDIR": str(tmp_path / "tmp"), "REHEARSAL_LATENCY_MS": "100"}
    command = [COMMAND, "train", tmp_path / "spec.yaml", "--run-id", "r1", "--json"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=env, cwd=tmp_path, **quiet) as process:
        give_up = time.monotonic() + 60
        while not home.rows("SELECT * FROM case_results LIMIT 3"):
            assert time.monotonic() < give_up and process.poll() is None
            time.sleep(0.1)
        assert kill_and_count_left(psutil.Process(process.pid)) == 0
    give_up = time.monotonic() + 5
    while list((tmp_path / "tmp").glob("cornerman-prefect-*")):
        assert time.monotonic() < give_up
        time.sleep(0.1)
    resumed = subprocess.run(
        [COMMAND, "train", "--resume", "r1", "--json"],
        env=env | {"REHEARSAL_LATENCY_MS": "0"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["status"] == "completed"


def test_a_terminated_training_ends_in_good_order_and_is_resumed(
    trainings: ForkedTrainings, tmp_path: Path, sqlite_template: Path
) -> None:
    home = Home(tmp_path / "home", sqlite_template)
    process = trainings.start(_request(), "r1", **home.env, REHEARSAL_LATENCY_MS="3000")
    while not home.rows("SELECT * FROM llm_calls WHERE status = 'reserved'"):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    asked = time.monotonic()
    assert ends_within(process, 10)
    assert time.monotonic() - asked < 5
    [run] = home.rows("SELECT * FROM runs")
    assert (run["status"], run["stopped_by"], run["owner"]) == ("cancelled", "cancelled", None)
    assert home.rows("SELECT * FROM llm_calls WHERE status = 'reserved'") == []
    _uninterrupted(trainings, home)
