"""The demo's settings, the gateway's address, deployments."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from cornerman.cli.commands.demo import demo_settings
from cornerman.cli.machine.deploy import say_deployed
from cornerman.cli.output import Out
from cornerman.settings import load_settings
from tests.cli.conftest import Printed

Command = Callable[..., Printed]


def test_the_demo_never_spends_money_nor_touches_real_data(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-real")
    monkeypatch.setenv("AGENT_MODEL", "gpt-4o")
    monkeypatch.setenv("USE_LOCAL_DB", "true")
    monkeypatch.setenv("LOCAL_DB_URL", "postgresql://me@db.example.org/real")
    monkeypatch.setenv("SLACK_WEBHOOK_URL", "https://hooks.example.org/real")
    settings = load_settings()
    demo = demo_settings(settings, real=False)
    assert demo.simulated and demo.model_for("agent") == "rehearsal-agent"
    assert demo.slack_webhook_url is None
    assert demo.home == settings.home / "demo"
    assert demo.database_url().url.get_secret_value().startswith("sqlite:///")


def test_the_real_demo_keeps_the_models_and_its_own_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-real")
    demo = demo_settings(load_settings(), real=True)
    assert not demo.simulated
    assert demo.home.name == "demo"


def test_a_real_demo_without_a_key_is_refused(command: Command) -> None:
    printed = command("demo", "--real")
    assert printed.code == 2
    assert "SANDBOX_OPENAI_API_KEY" in printed.err


def test_a_port_that_is_taken_is_told(command: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        printed = command("serve", "--port", str(port), "--json")
    assert (printed.code, printed.json()["error"]) == (1, "address")
    assert f"--port {port + 1}" in printed.json()["hint"]


def test_deployments_need_a_prefect_server(command: Command) -> None:
    printed = command("deploy", "--json")
    assert (printed.code, printed.json()["field"]) == (2, "PREFECT_API_URL")


def test_what_was_deployed_is_told_in_lines(capsys: pytest.CaptureFixture[str]) -> None:
    done = {"prefect": "http://p/api", "work_pool": {"cornerman": "created"}, "limits": {}}
    say_deployed(Out(False), done)
    told = capsys.readouterr().out.splitlines()
    assert told == ["prefect: http://p/api", "work pool:", "  cornerman: created", "limits: none"]
