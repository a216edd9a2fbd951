"""What doctor is told about settings, and that nothing gives a secret away."""

from __future__ import annotations

import json
import logging
import traceback
from dataclasses import astuple
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from cornerman.domain.errors import SettingsError
from cornerman.settings import SettingReport, Settings, explain, load_settings
from cornerman.settings.model import NAMES
from cornerman.settings.secrets import ADDRESSES, SECRETS

CANARY = "canary0123456789"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def explained(monkeypatch: pytest.MonkeyPatch, **variables: str) -> dict[str, SettingReport]:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    try:
        settings: Settings | SettingsError = load_settings()
    except SettingsError as error:
        settings = error
    return {report.name: report for report in explain(settings)}


def test_every_variable_is_explained() -> None:
    reports = explain(load_settings())
    assert [report.name for report in reports] == list(NAMES)
    assert all(report.description for report in reports)
    assert {name.lower() for name in NAMES} == set(Settings.model_fields)
    assert {report.source for report in reports} == {"default"}


def test_a_fresh_installation_lacks_only_the_gateways_tokens() -> None:
    wrong = {report.name: report for report in explain(load_settings()) if not report.ok}
    assert set(wrong) == {"CRON_SECRET", "API_TOKEN"}
    assert wrong["CRON_SECRET"].problem == "Cron secret not configured"
    assert "openssl rand -hex 32" in wrong["CRON_SECRET"].fix


def test_simulation_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    reports = explained(monkeypatch)
    assert "simulated" in reports["SANDBOX_OPENAI_API_KEY"].problem
    assert reports["AGENT_MODEL"].value_shown == "rehearsal-agent"
    reports = explained(monkeypatch, OPENAI_BASE_URL="http://127.0.0.1:1/v1")
    assert not reports["SANDBOX_OPENAI_API_KEY"].problem
    assert reports["OPTIMIZER_MODEL"].value_shown == "gpt-4o"


@pytest.mark.parametrize(
    ("variables", "name", "ok", "said"),
    [
        ({"CRON_SECRET": "short"}, "CRON_SECRET", True, "Shorter than 16"),
        ({"CRON_SECRET": CANARY, "API_TOKEN": CANARY}, "API_TOKEN", True, "same as CRON_SECRET"),
        ({"CORNERMAN_INSECURE_LOCAL": "true"}, "CORNERMAN_INSECURE_LOCAL", True, "without a token"),
        ({"CORNERMAN_INSECURE_LOCAL": "true"}, "CRON_SECRET", True, "not configured"),
        ({"USE_LOCAL_DB": "true"}, "LOCAL_DB_URL", False, "LOCAL_DB_URL is not set"),
        ({"LOCAL_DB_URL": "sqlite:///c.db"}, "LOCAL_DB_URL", True, "USE_LOCAL_DB is not true"),
        (
            {"SANDBOX_SUPABASE_URL": "https://abc.supabase.co"},
            "SANDBOX_SUPABASE_URL",
            False,
            "needs SUPABASE_DB_PASSWORD",
        ),
        (
            {"SUPABASE_SANDBOX_URL": "postgresql://h/d", "NEXT_PUBLIC_SUPABASE_URL": "https://x"},
            "NEXT_PUBLIC_SUPABASE_URL",
            True,
            "SUPABASE_SANDBOX_URL is first",
        ),
        ({"TRAINING_BATCH_SIZE": "50"}, "TRAINING_BATCH_SIZE", False, "at most 10"),
        ({"BATCH_BUDGET_USD": "20"}, "BATCH_BUDGET_USD", True, "DAILY_BUDGET_USD"),
        ({"EVALUATOR_MODULES": "mine,os"}, "EVALUATOR_MODULES", True, "Python's own os"),
        ({"EVALUATOR_MODULES": "os.path"}, "EVALUATOR_MODULES", True, "Python's own os.path"),
        ({"SANDBOX_OPENAI_API_KEY": "a", "OPENAI_API_KEY": "b"}, "OPENAI_API_KEY", True, "Not use"),
    ],
)
def test_what_is_wrong_stands_beside_its_variable(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], name: str, ok: bool, said: str
) -> None:
    report = explained(monkeypatch, **variables)[name]
    assert report.ok is ok
    assert said in report.problem


def test_refused_variables_do_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text(f"CRON_SECRET={CANARY}\nBATTLE_CRON=now\n")
    reports = explained(monkeypatch, MAX_TRAINING_BATCH_SIZE="99", OPENAI_BASE_URL="x://y")
    refused = {name for name, report in reports.items() if not report.ok}
    assert refused == {"MAX_TRAINING_BATCH_SIZE", "BATTLE_CRON", "OPENAI_BASE_URL", "API_TOKEN"}
    assert reports["MAX_TRAINING_BATCH_SIZE"].value_shown == "99"
    assert reports["MAX_TRAINING_BATCH_SIZE"].source == "environment"
    assert reports["BATTLE_CRON"].source == ".env"
    assert reports["CRON_SECRET"].value_shown == "set (16 characters)"
    # Whether the text is simulated cannot be said while the address is unknown.
    assert not reports["SANDBOX_OPENAI_API_KEY"].problem


def test_an_unreadable_file_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_bytes(b"CRON_SECRET=\xff\n")
    reports = explained(monkeypatch, REHEARSAL_SEED="4")
    assert not reports[".env"].ok
    assert reports["REHEARSAL_SEED"].value_shown == "4"


def test_any_settings_error_can_be_explained() -> None:
    reports = explain(SettingsError("It is odd.", field="HOME", hint="Mend it."))
    assert (reports[-1].name, reports[-1].problem, reports[-1].fix) == (
        "HOME",
        "It is odd.",
        "Mend it.",
    )


def test_every_secret_field_is_masked() -> None:
    secret = {
        name.upper()
        for name, field in Settings.model_fields.items()
        if "SecretStr" in str(field.annotation)
    }
    assert secret <= SECRETS | ADDRESSES
    assert secret >= SECRETS


SECRET_VALUES = {
    **dict.fromkeys(SECRETS, CANARY),
    "SLACK_WEBHOOK_URL": f"https://hooks.slack.com/services/{CANARY}",
    "LOCAL_DB_URL": f"postgresql://u:{CANARY}@h/d?password={CANARY}",
    "SUPABASE_SANDBOX_URL": "https://abc.supabase.co",
    "SANDBOX_SUPABASE_URL": f"postgresql://u:{CANARY}@h:1/d",
    "NEXT_PUBLIC_SUPABASE_URL": f"postgresql://u:{CANARY}#x@h/d",
}


def test_no_way_out_of_settings_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    reports = explained(monkeypatch, **SECRET_VALUES)
    settings = load_settings()
    ways_out = [
        repr(settings),
        str(settings),
        settings.model_dump_json(),
        str(settings.model_dump()),
        json.dumps(settings.sources()),
        repr(settings.database_url()),
        settings.database_url().shown,
        str([astuple(report) for report in reports.values()]),
    ]
    assert settings.sandbox_openai_api_key == SecretStr(CANARY)
    assert [text for text in ways_out if CANARY in text] == []


def test_no_error_shows_a_secret(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    bad = {
        "SLACK_WEBHOOK_URL": f"hooks.slack.com/{CANARY}",
        "OPENAI_BASE_URL": f"https://user:{CANARY}@host/v1",
        "NEXT_PUBLIC_APP_URL": f"https://host:{CANARY}@/",
        "PREFECT_API_URL": f"ftp://{CANARY}@host/api",
    }
    reports = explained(monkeypatch, **(SECRET_VALUES | bad))
    assert {name for name, report in reports.items() if not report.ok} >= set(bad)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    error, frames = caught.value, traceback.walk_tb(caught.tb)
    assert error.__context__ is None
    ways_out = [
        str([astuple(report) for report in reports.values()]),
        *(str(error), repr(error), error.hint, repr(vars(error))),
        # The last frame is the library's own; this test's locals hold the secrets by right.
        str(traceback.StackSummary.extract(frames, capture_locals=True)[-1].locals),
        caplog.text,
    ]
    assert [text for text in ways_out if CANARY in text] == []
    with pytest.raises(ValidationError) as direct:
        Settings()
    assert CANARY not in str(direct.value)
