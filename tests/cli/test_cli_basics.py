"""What every command does: help, usage errors, where things are printed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Printed, write_spec

Command = Callable[..., Printed]


def test_help_needs_nothing_heavy() -> None:
    code = (
        "import sys; from cornerman.cli.main import run; run(['--help']);"
        "heavy = {'prefect', 'sqlalchemy', 'scipy', 'openai', 'pydantic'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["bogus"], ["runs"], ["runs", "bogus"], ["train", "a", "b"], ["battle", "--batch-size", "x"]],
)
def test_usage_errors_exit_2_without_a_traceback(command: Command, arguments: list[str]) -> None:
    printed = command(*arguments)
    assert printed.code == 2
    assert "Traceback" not in printed.err + printed.out


def test_a_usage_error_with_json_is_a_document(command: Command) -> None:
    document = command("runs", "list", "--limit", "many", "--json").json()
    assert (document["error"], bool(document["message"])) == ("usage", True)
    assert document["hint"] == "Type: cornerman runs list --help"


def test_json_may_stand_before_the_command(command: Command) -> None:
    assert command("--json", "runs", "list").json() == []


def test_a_failure_goes_to_standard_error_with_its_hint(command: Command) -> None:
    printed = command("runs", "show", "nothing")
    assert (printed.code, printed.out) == (2, "")
    assert "There is no run 'nothing'." in printed.err
    assert "cornerman runs list" in printed.err


def test_an_unreachable_database_is_told_without_its_password(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USE_LOCAL_DB", "true")
    monkeypatch.setenv("LOCAL_DB_URL", "postgresql://me:hunter2@127.0.0.1:9/none")
    printed = command("runs", "list", "--json")
    assert (printed.code, printed.json()["error"]) == (1, "storage")
    assert "hunter2" not in printed.out + printed.err


def test_refused_settings_are_bad_input(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_BUDGET_USD", "-1")
    printed = command("runs", "list")
    assert printed.code == 2
    assert "BATCH_BUDGET_USD" in printed.err


def test_an_unexpected_error_is_short_unless_debugged(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("cornerman.storage.database.migrate.head_revision", broken)
    short, debugged = command("db", "upgrade"), command("db", "upgrade", "--debug")
    assert (short.code, debugged.code) in ((0, 0), (1, 1))
    assert "Traceback" not in short.err


def test_a_spec_is_refused_by_its_field(command: Command, tmp_path: Path) -> None:
    spec = write_spec(tmp_path, optimizer={"epochs": 51})
    document = command("train", spec, "--json").json()
    assert (document["error"], document["field"]) == ("bad_input", "optimizer.epochs")
    assert "51 is over the limit of 50" in document["message"]


def test_a_spec_that_is_no_mapping_is_refused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- 1\n")
    printed = command("train", tmp_path / "list.yaml")
    assert printed.code == 2
    assert "must hold a mapping" in printed.err


def test_an_interrupted_command_exits_1_in_one_line(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cornerman.settings.get_settings", interrupted)
    printed = command("runs", "list", "--json")
    assert (printed.code, printed.json()["error"]) == (1, "interrupted")
