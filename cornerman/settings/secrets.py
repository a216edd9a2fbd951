"""How a value is shown to people without giving a secret away.

Which values of the environment are secrets, and `${NAME}` references to them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values

from cornerman.domain.errors import SettingsError
from cornerman.domain.secrets import register_secrets

SECRETS = frozenset(
    {
        "SUPABASE_DB_PASSWORD",
        "SANDBOX_SUPABASE_SERVICE_ROLE_KEY",
        "SANDBOX_SUPABASE_ANON_KEY",
        "SANDBOX_OPENAI_API_KEY",
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "CRON_SECRET",
        "API_TOKEN",
        "SLACK_WEBHOOK_URL",
    }
)
# Shown without what may be secret in them: user, password and query.
ADDRESSES = frozenset(
    {
        "LOCAL_DB_URL",
        "SUPABASE_SANDBOX_URL",
        "SANDBOX_SUPABASE_URL",
        "NEXT_PUBLIC_SUPABASE_URL",
        "OPENAI_BASE_URL",
        "ANTHROPIC_BASE_URL",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "NEXT_PUBLIC_APP_URL",
        "PREFECT_API_URL",
        "DASK_SCHEDULER",
    }
)
_LONGEST_SHOWN = 120


def mask_secret(value: str) -> str:
    """Say that a secret is set and how long it is, nothing more."""
    return f"set ({len(value)} characters)"


def mask_address(value: str) -> str:
    """Show an address without its user, password, query and fragment.

    What stands before the last `@` goes as a whole, because an unquoted password may hold any
    character, `/`, `#` and `?` among them.
    """
    scheme, found, rest = value.partition("://")
    if not found or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        return mask_secret(value)
    credentials, at, rest = rest.rpartition("@")
    place = re.split(r"[?#]", rest)[0]
    return f"{scheme}://{'***@' if at and credentials else ''}{place}"


def shown(name: str, value: str) -> str:
    """Show a variable's raw value as its kind allows, shortened when long."""
    if name in SECRETS:
        return mask_secret(value)
    text = mask_address(value) if name in ADDRESSES else value
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET_NAME = re.compile(
    r"(^|_)(API_?KEY|ACCESS_?KEY|TOKEN|SECRET|AUTH_?STRING|PASSWORD|PASSWD)(_|$)", re.I
)
_NO_SECRET_NAME = re.compile(r"(_FILE|_PATH|_DIR|_URL|_TTL|_ID|_NAME|_TYPE)$", re.I)
# A database's password may be a plain word, which must not vanish from every text.
_SHORTEST_PASSWORD = 12


def register_environment(values: Mapping[str, str]) -> None:
    """Have every secret of the environment hidden.

    Args:
        values: The settings' raw values by variable, `.env` included. Other variables of the
            environment count as secrets by their names, since agents bring keys of their own.
    """
    for name, value in values.items():
        if name in SECRETS:
            register_secrets(value)
        elif name in ADDRESSES:
            _register_password(value)
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name) and not _NO_SECRET_NAME.search(name):
            register_secrets(value.strip())


def _register_password(address: str) -> None:
    try:
        password = urlsplit(address).password
    except ValueError:
        return
    if password:
        register_secrets(address)
        if len(password) >= _SHORTEST_PASSWORD:
            register_secrets(password, unquote(password))


def resolve_references(text: str, field: str, env_file: str = ".env") -> str:
    """Put variables' values in place of each `${NAME}`; they are secrets from then on.

    Args:
        field: Where the text came from, for the message.

    Raises:
        SettingsError: A variable is not set, neither in the environment nor in `.env`.
    """

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1]) or dotenv_values(env_file).get(match[1])
        if not found:
            raise SettingsError(
                f"{field}: {match[0]} refers to a variable that is not set.",
                field=field,
                hint=f"Set {match[1]} in the environment or in .env",
            )
        register_secrets(found)
        return found

    return _REFERENCE.sub(value, text)
