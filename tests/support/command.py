"""Run the real `cornerman` command in a clean environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

COMMAND = Path(sys.executable).with_name("cornerman")


class Finished(subprocess.CompletedProcess[str]):
    """A command that ended; its standard output may be one JSON document."""

    def json(self) -> Any:
        """Read standard output as JSON; on anything else the error shows what was printed."""
        try:
            return json.loads(self.stdout)
        except json.JSONDecodeError as error:
            raise AssertionError(
                f"{self.args!r} exited {self.returncode} without JSON: "
                f"{self.stdout!r}\nstderr: {self.stderr}"
            ) from error


def run_cornerman(
    *arguments: str | Path,
    home: Path,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    input: str | None = None,
    timeout_seconds: float = 120,
) -> Finished:
    """Run `cornerman` to its end.

    Args:
        home: Its CORNERMAN_HOME.
        cwd: Its working folder, where a `.env` would be read.
        env: Variables on top of the test's own clean ones.
        input: Its standard input.
        timeout_seconds: After so long it is killed and TimeoutExpired raised.
    """
    environ = dict(os.environ) | {"CORNERMAN_HOME": str(home)} | dict(env or {})
    done = subprocess.run(
        [str(COMMAND), *map(str, arguments)],
        cwd=cwd,
        env=environ,
        input=input,
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )
    return Finished(done.args, done.returncode, done.stdout, done.stderr)
