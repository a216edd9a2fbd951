"""Four processes at once on one workflow: nothing is lost, nothing is booked twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cornerman.storage import checkpoints, events, ledger
from cornerman.storage.database import Database
from tests.storage.samples import make_run
from tests.storage.work_together import CHECKPOINTS, EVENTS, MOST_A_CALL, SHARED_LIMIT

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["a", "b", "c", "d"]


def start(url: str, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.storage.work_together", url, name]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(command, text=True, cwd=ROOT, **pipes)


def work_together(url: str) -> list[dict[str, Any]]:
    """Let all processes begin at the same moment; return what each was given."""
    processes = [start(url, name) for name in NAMES]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=60) for process in processes]
    # "database is locked" would stand here.
    assert [errors for _, errors in ended] == [""] * len(NAMES)
    return [json.loads(answer) for answer, _ in ended]


@pytest.fixture
def told(db: Database) -> list[dict[str, Any]]:
    make_run(db, "shared")
    return work_together(db.engine.url.render_as_string(hide_password=False))


def test_versions_best_events_and_budget_hold(db: Database, told: list[dict[str, Any]]):
    check_checkpoints(db, told)
    check_events(db, told)
    check_budget(db, told)


def check_checkpoints(db: Database, told: list[dict[str, Any]]) -> None:
    made = sorted((version, score) for each in told for version, score in each["versions"])
    assert [version for version, _ in made] == list(range(1, CHECKPOINTS * len(NAMES) + 1))
    with db.reading() as session:
        stored = checkpoints.read_checkpoints(session, "w", limit=200)
    best = [c.config_version for c in stored if c.is_best]
    # The highest score, and of equal ones the earliest.
    assert best == [max(made, key=lambda each: (each[1], -each[0]))[0]]


def check_events(db: Database, told: list[dict[str, Any]]) -> None:
    with db.reading() as session:
        shared = events.read_events(session, "shared", limit=10_000)
        own = [events.read_events(session, name, limit=10_000) for name in NAMES]
    total = EVENTS // 2 * len(NAMES)
    assert [event.seq for event in shared] == list(range(1, total + 1))
    assert sorted(seq for each in told for seq in each["shared"]) == list(range(1, total + 1))
    for each, log in zip(told, own, strict=True):
        assert (
            [event.seq for event in log] == sorted(each["own"]) == list(range(1, EVENTS // 2 + 1))
        )


def check_budget(db: Database, told: list[dict[str, Any]]) -> None:
    with db.reading() as session:
        budget = ledger.read_budget(session, "shared")
    assert budget is not None
    spent = sum(each["spent"] for each in told)
    assert (budget.spent_pico, budget.reserved_pico) == (spent, 0)
    assert SHARED_LIMIT - MOST_A_CALL < spent <= SHARED_LIMIT
