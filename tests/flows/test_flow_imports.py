"""What a run imports before its first case: modules, not seconds, are bounded."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module", ["cornerman.flows.train", "cornerman.flows.evaluate", "cornerman.flows.battle"]
)
def test_a_flow_imports_no_statistics_no_alembic_and_no_pages(module: str) -> None:
    heavy = "scipy numpy choix alembic cornerman.report fastapi uvicorn prefect.server.models"
    code = f"import sys, {module}; print(*(set({heavy.split()!r}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []


def test_the_embedded_server_is_begun_before_anything_heavy_is_imported() -> None:
    code = (
        "import sys, cornerman.flows.plumbing.embedded_client;"
        "print(*({'prefect', 'sqlalchemy', 'openai', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []
