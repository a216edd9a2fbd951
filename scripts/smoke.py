"""Install the wheel into fresh environments and try what matters: demo, resume, a scheduled batch.

usage: smoke.py [--oldest] [--beside] [--python PYTHON]...   (a path; default: this one)

With --oldest the versions are those of requirements/oldest.txt, the least that pyproject.toml
allows; else those of requirements/base.txt. With --beside the frameworks of
requirements/agents.txt are installed too, and the demo alone is tried. An interpreter that is not
there is named and passed over. Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
REQUEST: dict[str, Any] = {
    "workflow_id": "smoke",
    "dataset": {
        "cases": [
            {"inputs": {"question": f"How many fruits are {n} apples?"}, "expected_output": f"{n}"}
            for n in range(1, 13)
        ]
    },
    "evaluators": [{"id": "exact", "entrypoint": "exact_match"}],
    "optimizer": {"epochs": 3, "max_concurrency": 1},
    "prompts": {"system": {"text": "Answer with a number alone.", "requires_grad": True}},
}


class Installed:
    """One environment with Cornerman in it, and a folder and a home that hold nothing else."""

    def __init__(self, python: str, lock: Path, wheel: Path, folder: Path) -> None:
        self.bin = folder / "venv" / "bin"
        self.home, self.work = folder / "home", folder / "empty"
        self.log = folder / "said.log"
        self.work.mkdir(parents=True)
        subprocess.run([python, "-m", "venv", str(folder / "venv")], check=True)
        pip = [str(self.bin / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--requirement", str(lock), str(wheel)], check=True)

    def environment(self, **more: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "PYTHON"))}
        return kept | {"CORNERMAN_HOME": str(self.home)} | more

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[bytes]:
        """Start the command in a session of its own, so that all of it can be killed."""
        with self.log.open("wb") as log:
            return subprocess.Popen(
                [str(self.bin / "cornerman"), *arguments],
                cwd=self.work,
                env=self.environment(**more),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run(self, *arguments: str) -> None:
        """Run the command to its end.

        Raises:
            SystemExit: It failed; with what it said.
        """
        code = self.start(*arguments).wait(300)
        if code:
            raise SystemExit(f"cornerman {' '.join(arguments)} exited {code}\n{self.said()}")

    def said(self) -> str:
        """The end of what the last command wrote, and of what `serve` logs."""
        logs = [self.log, *sorted(self.home.glob("logs/*.log"))]
        return "\n".join(f"== {log.name}\n{log.read_text()[-3000:]}" for log in logs)

    def until(self, query: str, seconds: float, what: str) -> None:
        """Wait until a query's first value is true.

        Raises:
            SystemExit: It never was; with what the last command said.
        """
        give_up = time.monotonic() + seconds
        while not self.ask(query):
            if time.monotonic() > give_up:
                raise SystemExit(f"no {what} within {seconds:g} s\n{self.said()}")
            time.sleep(0.1)

    def ask(self, query: str) -> Any:
        """The first value of a query of the home's database; None where there is none yet."""
        database = self.home / "cornerman.db"
        if not database.exists():
            return None
        with contextlib.closing(sqlite3.connect(database)) as connection:
            try:
                row = connection.execute(query).fetchone()
            except sqlite3.OperationalError:
                return None
        return row[0] if row else None


def end(process: subprocess.Popen[bytes], number: int) -> None:
    """Signal a whole session and wait for its first process."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    process.wait(30)


def try_resume(installed: Installed) -> None:
    """Kill a training after three cases, and go on with it."""
    spec = installed.work / "spec.json"
    spec.write_text(json.dumps(REQUEST))
    training = installed.start("train", str(spec), "--json")
    installed.until("SELECT COUNT(*) >= 3 FROM case_results", 120, "case")
    end(training, signal.SIGKILL)
    run_id = installed.ask("SELECT id FROM runs WHERE workflow_id = 'smoke'")
    installed.run("train", "--resume", run_id, "--json")
    assert installed.ask("SELECT status FROM runs WHERE workflow_id = 'smoke'") == "completed"


def try_schedule(installed: Installed) -> None:
    """Have `cornerman serve` start a batch because its minute has come."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    open_door = {"CORNERMAN_INSECURE_LOCAL": "true", "BATTLE_CRON": "* * * * *"}
    prefect = {"PREFECT_SERVER_API_PORT": str(port + 1), "MAX_BATTLES_PER_BATCH": "2"}
    serving = installed.start("serve", "--port", str(port), **open_door, **prefect)
    query = "SELECT COUNT(*) FROM runs WHERE kind = 'battle' AND status = 'completed'"
    try:
        installed.until(query, 240, "scheduled batch")
    finally:
        end(serving, signal.SIGINT)


def try_demo(installed: Installed) -> None:
    """Run the demo from an empty folder."""
    installed.run("demo")


def smoke(python: str, lock: Path, wheel: Path) -> None:
    """Try one interpreter with one lock."""
    steps = [try_demo] if lock.stem == "agents" else [try_demo, try_resume, try_schedule]
    folder = Path(tempfile.mkdtemp(prefix="cornerman-smoke-"))
    try:
        installed = Installed(python, lock, wheel, folder)
        for step in steps:
            start = time.monotonic()
            step(installed)
            name = step.__name__.removeprefix("try_")
            print(f"  {name}: {time.monotonic() - start:.0f} s", flush=True)
            shutil.rmtree(installed.home, ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Build the wheel once and try each interpreter."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--oldest", action="store_true")
    parser.add_argument("--beside", action="store_true", help="with the frameworks of agents")
    parser.add_argument("--python", action="append", default=[])
    given = parser.parse_args()
    name = "agents.txt" if given.beside else "oldest.txt" if given.oldest else "base.txt"
    lock = ROOT / "requirements" / name
    with tempfile.TemporaryDirectory() as built:
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--no-build-isolation", "-w", built, str(ROOT)], check=True)
        wheel = next(Path(built).glob("*.whl"))
        for python in given.python or [sys.executable]:
            if shutil.which(python) is None:
                print(f"{python}: not on this machine, passed over")
                continue
            print(f"{python} with {lock.name}", flush=True)
            smoke(python, lock, wheel)
    return 0


if __name__ == "__main__":
    sys.exit(main())
