"""Which values of the environment are secrets, and `${NAME}` references to them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values

from cornerman.domain.errors import SettingsError
from cornerman.domain.secrets import register_secrets
from cornerman.settings.masks import ADDRESSES, SECRETS

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET_NAME = re.compile(r"(^|_)(API_?KEY|ACCESS_?KEY|TOKEN|SECRET|PASSWORD|PASSWD)(_|$)", re.I)
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
