"""Which database the settings choose."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import make_url

from cornerman.domain.errors import SettingsError
from cornerman.settings import Settings, load_settings
from cornerman.settings.model import NAMES
from cornerman.settings.secrets import mask_address

SUPABASE = "https://abcdefgh.supabase.co"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def chosen(monkeypatch: pytest.MonkeyPatch, **variables: str) -> tuple[str, str]:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    target = load_settings().database_url()
    return target.url.get_secret_value(), target.source


LOCAL, FIRST, SECOND, THIRD = (
    {name: f"postgresql://{host}/db"}
    for name, host in [
        ("LOCAL_DB_URL", "local"),
        ("SUPABASE_SANDBOX_URL", "first"),
        ("SANDBOX_SUPABASE_URL", "second"),
        ("NEXT_PUBLIC_SUPABASE_URL", "third"),
    ]
)


@pytest.mark.parametrize(
    ("variables", "source", "host"),
    [
        ({"USE_LOCAL_DB": "true"} | LOCAL | FIRST | SECOND | THIRD, "LOCAL_DB_URL", "local"),
        ({"USE_LOCAL_DB": "false"} | LOCAL | FIRST | SECOND, "SUPABASE_SANDBOX_URL", "first"),
        (LOCAL | FIRST | SECOND | THIRD, "SUPABASE_SANDBOX_URL", "first"),
        (SECOND | THIRD, "SANDBOX_SUPABASE_URL", "second"),
        (LOCAL | THIRD, "NEXT_PUBLIC_SUPABASE_URL", "third"),
    ],
)
def test_addresses_are_tried_in_their_order(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], source: str, host: str
) -> None:
    assert chosen(monkeypatch, **variables) == (f"postgresql+psycopg://{host}/db", source)


@pytest.mark.parametrize("variables", [{}, LOCAL, {"USE_LOCAL_DB": "false"}])
def test_without_an_address_it_is_sqlite_at_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str]
) -> None:
    url, source = chosen(monkeypatch, CORNERMAN_HOME=str(tmp_path / "corner"), **variables)
    assert (url, source) == (f"sqlite:///{tmp_path}/corner/cornerman.db", "default")
    assert make_url(url).database == f"{tmp_path}/corner/cornerman.db"


@pytest.mark.parametrize(
    ("given_address", "used"),
    [
        ("postgres://u:p@h:1/d", "postgresql+psycopg://u:p@h:1/d"),
        ("postgresql+psycopg://h/d", "postgresql+psycopg://h/d"),
        ("POSTGRESQL://h/d?sslmode=require", "postgresql+psycopg://h/d?sslmode=require"),
        ("postgresql:///d?host=/run/postgresql", "postgresql+psycopg:///d?host=/run/postgresql"),
        ("sqlite:////var/lib/c.db", "sqlite:////var/lib/c.db"),
        ("sqlite:///c.db", "sqlite:///c.db"),
        ("sqlite:///~/c.db", "sqlite:///HOME/c.db"),
    ],
)
def test_an_address_becomes_the_engines(
    monkeypatch: pytest.MonkeyPatch, given_address: str, used: str
) -> None:
    used = used.replace("HOME", str(Path.home()))
    assert chosen(monkeypatch, USE_LOCAL_DB="1", LOCAL_DB_URL=given_address)[0] == used


@pytest.mark.parametrize("name", ["SUPABASE_SANDBOX_URL", "NEXT_PUBLIC_SUPABASE_URL"])
@pytest.mark.parametrize("address", [SUPABASE, f"{SUPABASE}/", "https://ABCDEFGH.Supabase.co"])
def test_a_supabase_address_becomes_its_postgresql_address(
    monkeypatch: pytest.MonkeyPatch, name: str, address: str
) -> None:
    used = chosen(monkeypatch, SUPABASE_DB_PASSWORD="p@ss/w:rd#?% é", **{name: address})
    quoted = "p%40ss%2Fw%3Ard%23%3F%25%20%C3%A9"
    assert used == (
        f"postgresql+psycopg://postgres:{quoted}@db.abcdefgh.supabase.co:5432/postgres",
        name,
    )


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip))
def test_any_password_arrives_as_it_was(password: str) -> None:
    settings = Settings(supabase_sandbox_url=SUPABASE, supabase_db_password=password)  # pyright: ignore[reportArgumentType]
    url = make_url(settings.database_url().url.get_secret_value())
    assert url.password == password.strip()
    assert url.host == "db.abcdefgh.supabase.co"


def test_a_supabase_address_without_its_password_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SettingsError, match="SUPABASE_DB_PASSWORD") as caught:
        chosen(monkeypatch, SANDBOX_SUPABASE_URL=SUPABASE)
    assert caught.value.field == "SANDBOX_SUPABASE_URL"
    assert "postgresql://" in caught.value.hint
    assert "SUPABASE_DB_PASSWORD" in caught.value.hint


def test_local_without_its_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="USE_LOCAL_DB is true, but LOCAL_DB_URL") as caught:
        chosen(monkeypatch, USE_LOCAL_DB="true", SUPABASE_SANDBOX_URL=SUPABASE)
    assert "LOCAL_DB_URL=" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("LOCAL_DB_URL", "mysql://u:canary@h/d"),
        ("LOCAL_DB_URL", "postgresql+asyncpg://u:canary@h/d"),
        ("LOCAL_DB_URL", "canary"),
        ("LOCAL_DB_URL", "sqlite://"),
        ("LOCAL_DB_URL", "sqlite:///:memory:"),
        ("LOCAL_DB_URL", "postgresql://u:canary/#?@h/d"),
        ("LOCAL_DB_URL", "postgresql://u:canary@h:port/d"),
        ("LOCAL_DB_URL", "postgresql://[h?password=canary"),
        ("SUPABASE_SANDBOX_URL", "sqlite:///c.db"),
        ("SUPABASE_SANDBOX_URL", "https://supabase.co.example.org"),
        ("SUPABASE_SANDBOX_URL", "https://a.b.supabase.co?key=canary"),
        ("SUPABASE_SANDBOX_URL", "http://127.0.0.1:54321"),
    ],
)
def test_other_addresses_are_refused_without_their_secrets(
    monkeypatch: pytest.MonkeyPatch, name: str, address: str
) -> None:
    use_local = str(name == "LOCAL_DB_URL")
    with pytest.raises(SettingsError) as caught:
        chosen(monkeypatch, USE_LOCAL_DB=use_local, **{name: address})
    assert caught.value.message.startswith(f"{name} is ")
    assert caught.value.hint
    assert "canary" not in caught.value.message + caught.value.hint


def test_a_relative_home_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert (
        chosen(monkeypatch, CORNERMAN_HOME="here")[0] == f"sqlite:///{tmp_path}/here/cornerman.db"
    )


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="has no home") as caught:
        chosen(monkeypatch, CORNERMAN_HOME="~nobody-of-that-name/x")
    assert caught.value.field == "CORNERMAN_HOME"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://u:p@h:5432/d?sslmode=x", "postgresql://***@h:5432/d"),
        ("postgresql://u:a@b/c?d#e@h/d", "postgresql://***@h/d"),
        ("postgresql://localhost:5432/sandbox", "postgresql://localhost:5432/sandbox"),
        ("no address", "set (10 characters)"),
    ],
)
def test_an_address_is_shown_without_credentials(address: str, shown: str) -> None:
    assert mask_address(address) == shown
