"""`cornerman migrate orcheo` as a person types it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from tests.cli.conftest import Printed
from tests.support.orcheo import checkpoint_row, fill


@pytest.fixture
def orcheo_file(cornerman_home: Path, sqlite_template: Path, tmp_path: Path) -> Path:
    """Orcheo's file, and a home with a database of ours."""
    cornerman_home.mkdir()
    shutil.copyfile(sqlite_template, cornerman_home / "cornerman.db")
    path = tmp_path / "orcheo.db"
    engine = create_engine(f"sqlite:///{path}")
    rows = [checkpoint_row(1), checkpoint_row(2, is_best=True), checkpoint_row(3, metrics="{")]
    fill(engine, [*rows, checkpoint_row(4, workflow_id="a workflow")])
    engine.dispose()
    return path


def test_it_says_what_it_took_and_what_not_and_why(
    command: Callable[..., Printed], orcheo_file: Path
) -> None:
    done = command("migrate", "orcheo", orcheo_file, "--json")
    found = done.json()
    assert done.code == 0
    counts = {name: found[name] for name in ("read", "new", "known", "not_taken")}
    assert counts == {"read": 4, "new": 2, "known": 0, "not_taken": 2}
    assert [reason["count"] for reason in found["reasons"]] == [1, 1]
    best = checkpoint_row(2)["id"]
    assert found["workflows"] == {
        "support": {"new": 2, "known": 0, "best": best, "best_there": best}
    }
    listed = command("checkpoints", "list", "support", "--json").json()
    assert [(c["config_version"], c["is_best"]) for c in listed] == [(2, True), (1, False)]
    assert "Version 2." in command("prompts", "pull", "support").out


def test_again_it_adds_nothing_and_renames_what_had_no_name(
    command: Callable[..., Printed], orcheo_file: Path
) -> None:
    command("migrate", "orcheo", orcheo_file)
    done = command("migrate", "orcheo", orcheo_file, "--rename", "a workflow=sales")
    assert "4 checkpoints read: 1 new, 2 known, 1 not taken." in done.out
    assert "Not taken: metrics is not JSON" in done.err


def test_a_best_that_was_chosen_here_stays(
    command: Callable[..., Printed], orcheo_file: Path
) -> None:
    command("migrate", "orcheo", orcheo_file)
    ours, theirs = checkpoint_row(1)["id"], checkpoint_row(2)["id"]
    command("checkpoints", "rollback", ours, "--reason", "it read better")
    done = command("migrate", "orcheo", orcheo_file)
    assert f"support: the best stays {ours}; there it is {theirs}" in done.err


def test_nothing_that_could_be_taken_is_a_failure(
    command: Callable[..., Printed], orcheo_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "bad.db"
    engine = create_engine(f"sqlite:///{path}")
    fill(engine, [checkpoint_row(1, metrics="{")])
    engine.dispose()
    assert command("migrate", "orcheo", path).code == 1
    assert command("migrate", "orcheo", tmp_path / "none.db").code == 2
    assert command("migrate", "orcheo", path, "--rename", "support").code == 2
