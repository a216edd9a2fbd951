"""How a value is shown to people without giving a secret away."""

from __future__ import annotations

import re

SECRETS = frozenset(
    {
        "SUPABASE_DB_PASSWORD",
        "SANDBOX_SUPABASE_SERVICE_ROLE_KEY",
        "SANDBOX_SUPABASE_ANON_KEY",
        "SANDBOX_OPENAI_API_KEY",
        "OPENAI_API_KEY",
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
