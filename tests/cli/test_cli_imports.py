"""What a command imports, which is what a person waits for: modules, not seconds, are bounded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = "alembic numpy scipy prefect openai httpx jinja2 jsonschema fastapi uvicorn slack_sdk"


def imported_by(*arguments: str, home: Path) -> set[str]:
    """The modules that are there once the command has run, in a process of its own."""
    code = (
        "import sys; from cornerman.cli.main import run; run(sys.argv[1:]);"
        "sys.stderr.write('\\n'.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={"CORNERMAN_HOME": str(home), "PATH": ""},
        cwd=home,
    )
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "typed",
    ["runs list", "runs show x", "doctor", "checkpoints list w", "personas list -w w"],
)
def test_looking_at_what_is_stored_imports_nothing_heavy(typed: str, tmp_path: Path) -> None:
    imported_by("db", "upgrade", home=tmp_path)
    held = imported_by(*typed.split(), home=tmp_path)
    assert set(HEAVY.split()) & held == set()
    assert "sqlalchemy.dialects.sqlite" in held


def test_only_the_command_that_was_typed_is_loaded(tmp_path: Path) -> None:
    held = imported_by("runs", "--help", home=tmp_path)
    loaded = {name for name in held if name.startswith("cornerman.cli.commands.")}
    assert loaded == {"cornerman.cli.commands.runs"}


def test_an_empty_database_is_set_up_by_alembic_all_the_same(tmp_path: Path) -> None:
    assert "alembic" in imported_by("runs", "list", home=tmp_path)
