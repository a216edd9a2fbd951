"""A worker keeps Prefect's temporary folders where the next worker removes them."""

from __future__ import annotations

import fcntl
import tempfile
from pathlib import Path

import pytest

from cornerman.deployments import worker


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", "unset")
    monkeypatch.setattr(tempfile, "tempdir", None)
    path = tmp_path / "7.lock"
    path.touch()
    return path


def test_temporary_files_go_to_the_workers_own_folder(lock: Path) -> None:
    worker._own_temporary_folder(lock)
    assert tempfile.gettempdir() == str(lock.with_suffix(".tmp"))


def test_what_a_dead_worker_left_is_removed_and_a_living_ones_stays(lock: Path) -> None:
    dead, living = lock.with_name("5.tmp"), lock.with_name("6.tmp")
    dead.mkdir()
    living.mkdir()
    with lock.with_name("6.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        worker._own_temporary_folder(lock)
    assert (dead.exists(), living.exists()) == (False, True)
