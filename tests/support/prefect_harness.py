"""Prefect's own test harness, with the server that Cornerman starts rather than the bare one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

_ROOT = Path(__file__).parents[2]
_START_SECONDS = 90


@contextmanager
def prefect_harness() -> Iterator[None]:
    """Serve Prefect on SQLite; the bare one's clients sleep for seconds when two requests meet."""
    from prefect.server.api.server import SubprocessASGIServer
    from prefect.testing.utilities import prefect_test_harness

    with (
        mock.patch.object(SubprocessASGIServer, "_run_uvicorn_command", _run_server),
        prefect_test_harness(server_startup_timeout=_START_SECONDS),
    ):
        yield


def _run_server(server: Any) -> subprocess.Popen[bytes]:
    from prefect.settings.context import get_current_settings

    settings = get_current_settings().to_environment_variables(exclude_unset=True)
    return subprocess.Popen(
        [sys.executable, "-m", "cornerman.deployments.prefect_server", str(server.port)],
        env={
            **os.environ,
            "PREFECT_UI_ENABLED": "0",
            "PREFECT__SERVER_EPHEMERAL": "1",
            "PREFECT__SERVER_FINAL": "1",
            **settings,
        },
        cwd=_ROOT,
    )
