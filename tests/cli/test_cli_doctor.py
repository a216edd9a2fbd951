"""`cornerman doctor` says what is set, what is wrong and what mends it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cornerman.cli.store import database
from cornerman.storage.notifications import create_notification, update_notification
from tests.cli.conftest import Printed

Command = Callable[..., Printed]


def levels(printed: Printed) -> dict[str, str]:
    return {check["name"]: check["level"] for check in printed.json()["checks"]}


def test_nothing_set_is_healthy(command: Command) -> None:
    command("db", "upgrade")
    printed = command("doctor", "--json")
    assert (printed.code, printed.json()["ok"]) == (0, True)
    settings = {one["name"]: one for one in printed.json()["settings"]}
    assert settings["CRON_SECRET"]["level"] == "warning"
    assert settings["TRAINING_BATCH_SIZE"]["value_shown"] == "5"
    assert levels(printed)["database"] == "ok"


def test_secrets_are_masked(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-this-is-a-secret-key")
    text = command("doctor").out + command("doctor", "--json").out
    assert "sk-this" not in text
    assert "set (23 characters)" in text


def test_everything_wrong_is_told_at_once(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCH_BUDGET_USD", "free")
    monkeypatch.setenv("TRAINING_BATCH_SIZE", "50")
    printed = command("doctor", "--json")
    wrong = {one["name"] for one in printed.json()["settings"] if one["level"] == "problem"}
    assert printed.code == 1
    assert wrong == {"BATCH_BUDGET_USD", "TRAINING_BATCH_SIZE"}


def test_an_unpriced_model_names_the_line_to_add(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("AGENT_MODEL", "home-grown")
    printed = command("doctor")
    assert printed.code == 1
    assert 'MODEL_PRICES={"home-grown":' in printed.out


def test_a_prefect_server_that_is_away_is_a_problem(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert levels(command("doctor", "--json"))["prefect"] == "problem"


def test_a_kill_switch_that_is_on_is_a_problem(command: Command) -> None:
    command("kill-switch", "on", "--reason", "too dear", "--by", "ada")
    printed = command("doctor")
    assert printed.code == 1
    assert "by ada: too dear" in printed.out and "cornerman kill-switch off" in printed.out
    command("kill-switch", "off")
    assert levels(command("doctor", "--json"))["kill-switch"] == "ok"


def test_a_message_that_failed_is_told(command: Command) -> None:
    with database() as db, db.writing() as session:
        create_notification(session, "batch:b1:done", "batch", {})
        update_notification(session, "batch:b1:done", sent=False, error="404 no_service")
    printed = command("doctor")
    assert "Failed to notify" in printed.out and "404 no_service" in printed.out
