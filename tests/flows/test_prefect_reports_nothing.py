"""Prefect tells its makers nothing from our processes, unless the user wants it to."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

NOTICE = "anonymous usage"
PACKAGES = ("flows", "tasks", "deployments")


def _on_a_terminal(code: str, home: Path, **variables: str) -> str:
    """What a Python process prints on a terminal of its own."""
    told = {"DO_NOT_TRACK", "PREFECT_SERVER_ANALYTICS_ENABLED", "CI"}
    environment = {k: v for k, v in os.environ.items() if k not in told}
    environment |= {"PREFECT_HOME": str(home), "HOME": str(home)} | variables
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ):
        os.close(theirs)
        said = b""
        try:
            while piece := os.read(ours, 4096):
                said += piece
        except OSError:  # the terminal's other end is closed
            pass
        finally:
            os.close(ours)
    return said.decode()


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_with_prefect_in_it_keeps_it_silent(package: str, tmp_path: Path) -> None:
    code = f"import cornerman.{package}, prefect, os; print(os.environ['DO_NOT_TRACK'], 'done')"
    said = _on_a_terminal(code, tmp_path)
    assert "1 done" in said
    assert NOTICE not in said


def test_the_user_may_turn_it_on(tmp_path: Path) -> None:
    code = "import cornerman.flows, os; print('told', os.environ['DO_NOT_TRACK'])"
    assert "told 0" in _on_a_terminal(code, tmp_path, DO_NOT_TRACK="0")


def test_without_us_prefect_would_speak(tmp_path: Path) -> None:
    # On an address that nobody answers, so that nothing is sent.
    speaks = _on_a_terminal("import prefect", tmp_path, PREFECT_API_URL="http://127.0.0.1:9/api")
    assert NOTICE in speaks
