"""A whole `cornerman serve` for a test."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import psutil

from tests.support.command import COMMAND, run_cornerman
from tests.support.deployed import wait_for
from tests.support.ports import free_port


class Serving:
    """A running `cornerman serve`.

    Args:
        cwd: The folder it is started in; None: its home.
    """

    def __init__(self, home: Path, *, cwd: Path | None = None) -> None:
        self.home = home
        self.cwd = cwd or home
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
                cwd=self.cwd,
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

    def stop(self) -> None:
        """Kill it with all that it started."""
        family = list[psutil.Process]()
        if self.process.poll() is None:
            family = self.family()
            self.process.kill()
            self.process.wait()
        for one in psutil.wait_procs(family, timeout=5)[1]:
            one.kill()
