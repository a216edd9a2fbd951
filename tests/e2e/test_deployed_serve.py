"""`cornerman serve`: one supervisor over gateway, Prefect server and worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.command import COMMAND, run_cornerman
from tests.support.deployed import answers, call, wait_for
from tests.support.ports import free_port


class Serving:
    """A running `cornerman serve`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.env = {
            "CORNERMAN_HOME": str(home),
            "CORNERMAN_INSECURE_LOCAL": "true",
            "PREFECT_SERVER_API_PORT": str(free_port()),
        }
        assert run_cornerman("db", "upgrade", home=home, cwd=home.parent).returncode == 0
        self.start()

    def start(self) -> None:
        """Start it; what it says goes to serve.err, its document to serve.out."""
        with (
            (self.home / "serve.out").open("wb") as out,
            (self.home / "serve.err").open("wb") as err,
        ):
            self.process = subprocess.Popen(
                [str(COMMAND), "serve", "--port", str(self.port), "--json"],
                env={**os.environ, **self.env},
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def said(self, text: str) -> bool:
        return text in (self.home / "serve.err").read_text()

    def document(self) -> dict[str, Any]:
        wait_for(lambda: (self.home / "serve.out").read_text().strip(), seconds=60)
        return json.loads((self.home / "serve.out").read_text())

    def until_up(self) -> None:
        wait_for(lambda: self.said("Prefect is up"), seconds=120, what=self.log)

    def log(self) -> str:
        logs = [self.home / "serve.err", *sorted((self.home / "logs").glob("*.log"))]
        return "\n".join(f"== {log}\n{log.read_text()[-3000:]}" for log in logs)

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, module: str) -> psutil.Process:
        return next(one for one in self.family() if module in " ".join(one.cmdline()))


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    home = tmp_path / "home"
    home.mkdir()
    held = Serving(home)
    family = list[psutil.Process]()
    try:
        yield held
    finally:
        if held.process.poll() is None:
            family = held.family()
            held.process.kill()
            held.process.wait()
        for one in psutil.wait_procs(family, timeout=5)[1]:
            one.kill()


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
