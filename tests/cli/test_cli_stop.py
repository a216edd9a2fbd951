"""`cornerman stop`, and what `doctor` says of the embedded Prefect server."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cornerman.flows.plumbing.home_server import ServerHome
from tests.cli.conftest import Printed

Command = Callable[..., Printed]


def prefect_check(printed: Printed) -> dict[str, Any]:
    return next(check for check in printed.json()["checks"] if check["name"] == "prefect")


def test_doctor_shows_the_shared_server_and_stop_ends_it(
    command: Command, cornerman_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_IDLE_SECONDS", "60")
    assert "starts an embedded server" in prefect_check(command("doctor", "--json"))["message"]
    servers = ServerHome(cornerman_home)
    folder, held = servers.join(60, Path("none"), lambda _: dict(os.environ))
    pid, port = folder.read().pid, folder.read().port
    shown = prefect_check(command("doctor", "--json"))
    assert f"pid {pid}, port {port}" in shown["message"]
    assert "used now" in shown["message"]
    used = command("stop", "--json").json()
    assert [server["pid"] for server in used["in_use"]] == [pid]
    assert [server["pid"] for server in used["ended"]] == [pid]
    assert servers.living() == []
    os.close(held)
    command("stop")
    assert servers.living() == []


def test_stop_without_a_server_says_so(command: Command, cornerman_home: Path) -> None:
    assert command("stop").out == "No embedded Prefect server runs.\n"
    assert not (cornerman_home / "prefect").exists()


def test_doctor_says_when_each_command_has_a_server_of_its_own(command: Command) -> None:
    assert "a server of its own" in prefect_check(command("doctor", "--json"))["message"]
