"""A real Prefect server, workers and commands, each a process of its own, for one test."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cornerman.flows.plumbing.patient import IN_BATCHES
from cornerman.storage.database import Database
from cornerman.storage.database.migrate import upgrade
from tests.support.command import run_cornerman
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]


class Deployed:
    """One CORNERMAN_HOME with a Prefect server and whatever a test starts beside it.

    Args:
        environment: On top of the test's own clean one.
        prefect_database: Prefect's database; None: SQLite in the home.
    """

    def __init__(
        self,
        home: Path,
        environment: Mapping[str, str] | None = None,
        *,
        prefect_database: str | None = None,
    ) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.api = f"http://127.0.0.1:{self.port}/api"
        self.environment = {
            **os.environ,
            **IN_BATCHES,
            "CORNERMAN_HOME": str(home),
            "PREFECT_HOME": str(home / "prefect"),
            "PREFECT_API_URL": self.api,
            "PREFECT_API_DATABASE_CONNECTION_URL": prefect_database
            or f"sqlite+aiosqlite:///{home}/prefect.db",
            **(environment or {}),
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        self.url = self.environment.get("LOCAL_DB_URL") or f"sqlite:///{home}/cornerman.db"

    def __enter__(self) -> Deployed:
        database = Database(self.url.replace("postgresql://", "postgresql+psycopg://"))
        upgrade(database)
        database.close()
        self.start("-m", "cornerman.deployments.prefect_server", str(self.port), name="prefect")
        wait_for(lambda: answers(f"{self.api}/health"), seconds=90)
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.processes):
            kill(process)

    def start(
        self, *arguments: str, name: str, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start `python ARGUMENTS`; it writes to NAME.log in the home."""
        with (self.home / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                env={**self.environment, **(env or {})},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def worker(self, name: str) -> subprocess.Popen[bytes]:
        return self.start("-m", "cornerman.deployments.worker", "--name", name, name=name)

    def gateway(self) -> str:
        """Start the gateway alone; returns its address."""
        port = free_port()
        command = ["-m", "cornerman.cli", "serve", "--gateway-only", "--port", str(port)]
        self.start(*command, name="gateway")
        address = f"http://127.0.0.1:{port}"
        wait_for(lambda: answers(f"{address}/healthz"), seconds=30)
        return address

    def cornerman(self, *arguments: str) -> Any:
        """Run a command with --json; returns its document."""
        done = run_cornerman(
            *arguments, "--json", home=self.home, cwd=self.home, env=self.environment
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.json()

    def logs(self) -> str:
        """The end of every log, for a failure's message."""
        return "\n".join(
            f"== {path.name}\n{path.read_text(errors='replace')[-3000:]}"
            for path in sorted(self.home.glob("*.log"))
        )


def kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def call(url: str, body: Any = None, *, token: str | None = None) -> Any:
    """GET, or POST a JSON body; returns the answer's JSON, whatever its status."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"content-type": "application/json"})
    if token is not None:
        request.add_header("authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def wait_for(
    condition: Callable[[], Any], *, seconds: float, what: Callable[[], str] | None = None
) -> Any:
    """Wait until `condition()` is true; returns what it returned."""
    give_up = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > give_up:
            raise AssertionError(what() if what else f"not within {seconds} s")
        time.sleep(0.1)
    return found
