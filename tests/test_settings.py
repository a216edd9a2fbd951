"""Settings: priorities, limits, `.env`, and where values came from."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from cornerman.domain.errors import BadInputError, SettingsError
from cornerman.domain.money.ledger import Role
from cornerman.settings import (
    InvalidSettingsError,
    get_settings,
    load_settings,
    module_allowed,
    reset_settings,
)
from cornerman.settings.model import GROUPS, NAMES


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_everything_is_optional_and_has_the_documented_default() -> None:
    settings = load_settings()
    assert settings.training_batch_size == 5
    assert settings.max_training_batch_size == 10
    assert settings.max_training_execution_time_ms == 50_000
    assert settings.max_concurrent_battles == 3
    assert settings.max_concurrent_cases == 8
    assert settings.prefect_idle_seconds == 600
    assert settings.delay_between_battles_ms == 1_000
    assert (settings.batch_budget_usd, settings.daily_budget_usd) == (5.0, 15.0)
    assert settings.battle_cron == "*/30 * * * *"
    assert (settings.rehearsal_seed, settings.rehearsal_latency_ms) == (0, 20)
    assert settings.home == Path("~/.cornerman").expanduser()
    assert settings.simulated


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("TRAINING_BATCH_SIZE=4   # a comment\nREHEARSAL_SEED=7\nOTHER=1\n")
    monkeypatch.setenv("TRAINING_BATCH_SIZE", "6")
    settings = load_settings()
    assert (settings.training_batch_size, settings.rehearsal_seed) == (6, 7)
    sources = settings.sources()
    assert sources["TRAINING_BATCH_SIZE"] == "environment"
    assert sources["REHEARSAL_SEED"] == ".env"
    assert sources["BATTLE_CRON"] == "default"
    assert set(sources) == set(NAMES)


def test_no_file_is_read_when_none_is_wanted() -> None:
    Path(".env").write_text("REHEARSAL_SEED=7\n")
    assert load_settings(env_file=None).rehearsal_seed == 0


@pytest.mark.parametrize("blank", ["", "  "])
def test_blank_counts_as_not_set(monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    Path(".env").write_text("MAX_CONCURRENT_BATTLES=2\n")
    for name in NAMES:
        monkeypatch.setenv(name, blank)
    settings = load_settings()
    assert settings.cron_secret is None
    assert settings.use_local_db is False
    assert settings.model_prices == {}
    assert settings.max_concurrent_battles == 2
    assert settings.sources()["CRON_SECRET"] == "default"


@pytest.mark.parametrize(
    ("name", "value", "limit"),
    [
        ("TRAINING_BATCH_SIZE", "0", "at least 1"),
        ("TRAINING_BATCH_SIZE", "11", "at most 10"),
        ("MAX_TRAINING_BATCH_SIZE", "11", "at most 10"),
        ("MAX_TRAINING_BATCH_SIZE", "0", "at least 1"),
        ("MAX_TRAINING_EXECUTION_TIME_MS", "0", "at least 1"),
        ("MAX_CONCURRENT_BATTLES", "0", "at least 1"),
        ("MAX_CONCURRENT_BATTLES", "three", "a whole number"),
        ("MAX_CONCURRENT_CASES", "0", "at least 1"),
        ("MAX_CONCURRENT_CASES", "257", "at most 256"),
        ("PREFECT_IDLE_SECONDS", "-1", "at least 0"),
        ("PREFECT_IDLE_SECONDS", "inf", "finite"),
        ("DELAY_BETWEEN_BATTLES_MS", "-1", "at least 0"),
        ("BATCH_BUDGET_USD", "0", "more than 0"),
        ("BATCH_BUDGET_USD", "nan", "finite"),
        ("DAILY_BUDGET_USD", "lots", "a number"),
        ("REHEARSAL_SEED", "-1", "at least 0"),
        ("REHEARSAL_LATENCY_MS", "1.5", "a whole number"),
        ("USE_LOCAL_DB", "maybe", "true or false"),
        ("BATTLE_CRON", "*/30 * * *", "five fields"),
        ("BATTLE_CRON", "61 * * * *", "minute of 0 to 59"),
        ("BATTLE_CRON", "* * * * moonday", "day of the week"),
        ("BATTLE_CRON", "*/0 * * * *", "minute"),
        ("OPENAI_BASE_URL", "localhost:8080", "http:// or https://"),
        ("EVALUATOR_MODULES", "good, not-a-module", "'not-a-module'"),
    ],
)
def test_a_refusal_names_variable_value_and_limit(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, limit: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert caught.value.message.startswith(f"{name} is '")
    assert limit in caught.value.message
    assert value in caught.value.message or name in ("OPENAI_BASE_URL",)
    assert caught.value.field == name


def test_everything_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_LOCAL_DB", "maybe")
    Path(".env").write_text("MAX_TRAINING_BATCH_SIZE=50\n")
    with pytest.raises(InvalidSettingsError) as caught:
        load_settings()
    assert [p.name for p in caught.value.problems] == ["MAX_TRAINING_BATCH_SIZE", "USE_LOCAL_DB"]
    assert "in .env" in caught.value.problems[0].fix
    assert caught.value.exit_code == 2


def test_the_default_batch_follows_a_lower_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_TRAINING_BATCH_SIZE", "3")
    assert load_settings().training_batch_size == 3
    monkeypatch.setenv("TRAINING_BATCH_SIZE", "5")
    with pytest.raises(SettingsError, match="TRAINING_BATCH_SIZE is '5'; it must be at most 3"):
        load_settings()


def test_a_batch_size_is_checked_against_the_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_TRAINING_BATCH_SIZE", "7")
    settings = load_settings()
    assert [settings.batch_size_checked(n) for n in (None, 1, 7)] == [5, 1, 7]
    for refused in (0, -1, 8, True):
        with pytest.raises(BadInputError, match=rf"batchSize is {refused}.* 1 to 7") as caught:
            settings.batch_size_checked(refused)
        assert caught.value.field == "batchSize"


def test_an_unreadable_file_is_a_settings_error() -> None:
    Path(".env").write_bytes(b"CRON_SECRET=\xff\xfe\n")
    with pytest.raises(SettingsError, match="not UTF-8"):
        load_settings()


def test_model_prices_keep_their_exact_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "MODEL_PRICES", '{"a": {"input": 0.15, "output": 0.6, "cached_input": 0.075}, "b": [0, 2]}'
    )
    prices = load_settings().model_prices
    assert prices["a"].input_usd == Decimal("0.15")
    assert prices["a"].cached_input_usd == Decimal("0.075")
    assert (prices["b"].input_usd, prices["b"].output_usd) == (0, 2)
    assert prices["b"].cached_input_usd is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not json", "a JSON object"),
        ("[1, 2]", "a JSON object"),
        ("[" * 100_000, "a JSON object"),
        ('{"m": [1, NaN]}', "NaN"),
        ('{"m": [1, -2]}', "'m'"),
        ('{"m": [1, "2"]}', "'m'"),
        ('{"m": [true, 2]}', "'m'"),
        ('{"m": [1e400, 2]}', "'m'"),
        ('{"m": [1]}', "'m'"),
        ('{"m": {"input": 1}}', "'m'"),
        ('{"m": {"input": 1, "output": 2, "outptu": 3}}', "'outptu'"),
    ],
)
def test_a_refused_price_names_its_model(
    monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.setenv("MODEL_PRICES", text)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert caught.value.message.startswith("MODEL_PRICES must ")
    assert said in caught.value.message
    assert len(caught.value.message) < 300


ROLES: list[Role] = ["agent", "persona", "referee", "optimizer", "judge", "scout", "generator"]


def test_models_follow_endpoint_and_role(monkeypatch: pytest.MonkeyPatch) -> None:
    simulated = [load_settings().model_for(role) for role in ROLES]
    assert simulated[:4] == [f"rehearsal-{role}" for role in ROLES[:4]]
    assert simulated[4:] == ["rehearsal-referee", "rehearsal-referee", "rehearsal-optimizer"]
    monkeypatch.setenv("OPENAI_API_KEY", "sk-something")
    monkeypatch.setenv("REFEREE_MODEL", "strict")
    real = [load_settings().model_for(role) for role in ROLES]
    assert real == ["gpt-4o-mini", "gpt-4o-mini", "strict", "gpt-4o", "strict", "strict", "gpt-4o"]


def test_the_sandbox_key_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "second")
    key = load_settings().api_key
    assert key is not None and key.get_secret_value() == "second"
    monkeypatch.setenv("SANDBOX_OPENAI_API_KEY", "first")
    key = load_settings().api_key
    assert key is not None and key.get_secret_value() == "first"


@pytest.mark.parametrize("name", ["OPENAI_BASE_URL", "OPENAI_API_KEY", "SANDBOX_OPENAI_API_KEY"])
def test_a_key_or_an_address_ends_the_simulation(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:8080/v1/")
    assert not load_settings().simulated


@pytest.mark.parametrize(
    ("module", "allowed"),
    [("a.b", True), ("a.b.c", True), ("a.bc", False), ("a", False), ("x", True), ("xy", False)],
)
def test_a_module_prefix_ends_at_a_dot(
    monkeypatch: pytest.MonkeyPatch, module: str, allowed: bool
) -> None:
    monkeypatch.setenv("EVALUATOR_MODULES", " a.b , x.* ,")
    settings = load_settings()
    assert settings.allows_module(module) is allowed
    assert module_allowed(module, settings.evaluator_modules) is allowed
    assert not module_allowed(module, ())


def test_dataset_folders_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATASET_FOLDERS", "data, /srv/sets")
    assert load_settings().dataset_folders == (tmp_path / "data", Path("/srv/sets"))


@pytest.mark.parametrize("cron", ["0 2 * * *", "0,30 9-17 1 jan-jun MON-FRI", "*/5 */6 * * 0-7/2"])
def test_usual_schedules_are_accepted(monkeypatch: pytest.MonkeyPatch, cron: str) -> None:
    monkeypatch.setenv("BATTLE_CRON", cron)
    assert load_settings().battle_cron == cron


def test_the_accessor_reads_once_until_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    reset_settings()
    first = get_settings()
    monkeypatch.setenv("REHEARSAL_SEED", "9")
    assert get_settings() is first
    reset_settings()
    assert get_settings().rehearsal_seed == 9
    reset_settings()


def test_no_group_overrides_what_another_one_checks() -> None:
    # Two validators of one name would silently be one.
    names = [
        name for group in GROUPS for name in vars(group)["__pydantic_decorators__"].field_validators
    ]
    assert len(names) == len(set(names))
