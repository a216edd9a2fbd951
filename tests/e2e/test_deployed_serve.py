"""`cornerman serve`: one supervisor over gateway, Prefect server and worker."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.command import run_cornerman
from tests.support.deployed import answers, call, wait_for
from tests.support.ports import free_port
from tests.support.serving import Serving


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    home = tmp_path / "home"
    home.mkdir()
    held = Serving(home)
    yield held
    held.stop()


@pytest.mark.slow
@pytest.mark.timeout(230)
def test_one_machine_from_start_to_end(serving: Serving) -> None:
    shown = serving.document()
    assert answers(f"{shown['address']}/healthz")
    assert shown["monitor"].endswith("/admin/training-monitor")
    serving.until_up()
    deployments = call(f"{shown['prefect']}/api/deployments/filter", {})
    assert {one["name"] for one in deployments} >= {"manual", "every-30-minutes", "nightly"}

    second = run_cornerman(
        "serve", "--port", str(free_port()), home=serving.home, cwd=serving.home, env=serving.env
    )
    assert second.returncode == 0
    assert "already up" in second.stdout + second.stderr
    assert shown["address"] in second.stdout

    worker = serving.child("cornerman.deployments.worker")
    worker.kill()
    again = wait_for(lambda: _another(serving, worker.pid), seconds=30, what=serving.log)
    assert again.pid != worker.pid

    family = serving.family()
    began = time.monotonic()
    serving.process.send_signal(signal.SIGINT)
    assert serving.process.wait(10) == 0, serving.log()
    assert time.monotonic() - began < 5
    assert psutil.wait_procs(family, timeout=1)[1] == []


def _another(serving: Serving, pid: int) -> psutil.Process | None:
    try:
        found = serving.child("cornerman.deployments.worker")
    except (StopIteration, psutil.NoSuchProcess):
        return None
    return found if found.pid != pid else None


@pytest.mark.slow
def test_what_a_killed_supervisor_started_ends_by_itself_and_it_can_start_again(
    serving: Serving,
) -> None:
    serving.document()
    wait_for(lambda: len(serving.family()) >= 2, seconds=30, what=serving.log)
    family = serving.family()
    serving.process.kill()
    serving.process.wait()
    assert psutil.wait_procs(family, timeout=8)[1] == []
    serving.start()
    assert answers(f"{serving.document()['address']}/healthz")
