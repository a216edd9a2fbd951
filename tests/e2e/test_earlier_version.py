"""What version 0.1.0 stored is gone on with: its runs, under the names that its modules had."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

# A run of 0.1.0 with battles as cases, killed after five cases.
STORED = Path(__file__).parent / "data" / "run_of_0_1_0.sql"
RUN_ID = "train-4a7c213d1c30"


def _rows(home: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(home / "cornerman.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def _cornerman(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cornerman.cli", *arguments, "--json"]
    environment = os.environ | {"CORNERMAN_HOME": str(home)}
    return subprocess.run(
        command, env=environment, cwd=home, capture_output=True, text=True, check=False
    )


def test_a_run_of_0_1_0_is_resumed_and_pays_nothing_twice(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "cornerman.db")
    connection.executescript(STORED.read_text(encoding="utf-8"))
    connection.close()
    finished = "SELECT case_id, candidate_id, score, output FROM case_results"
    settled = "SELECT id, cost_pico FROM llm_calls WHERE status = 'settled'"
    before, paid = _rows(tmp_path, finished), _rows(tmp_path, settled)
    upgraded = _cornerman(tmp_path, "db", "upgrade")
    assert upgraded.returncode == 0, upgraded.stderr
    resumed = _cornerman(tmp_path, "train", "--resume", RUN_ID)
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["status"] == "completed"
    assert set(before) <= set(_rows(tmp_path, finished))
    assert set(paid) <= set(_rows(tmp_path, settled))
