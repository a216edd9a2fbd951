"""What is wrong, or worth knowing, about settings that are each valid by themselves."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Set
from dataclasses import dataclass

from pydantic import SecretStr

from cornerman.domain.errors import SettingsError
from cornerman.settings.database import SUPABASE_ADDRESSES
from cornerman.settings.model import Settings

_SHORTEST_SECRET = 16
_MAKE_ONE = "openssl rand -hex 32"


@dataclass(frozen=True)
class Finding:
    """A remark on one variable; `ok` is False when something does not work because of it."""

    name: str
    ok: bool
    problem: str
    fix: str = ""


def findings_of(settings: Settings, unknown: Set[str] = frozenset()) -> Iterator[Finding]:
    """Judge settings together; of two findings on one variable, the later one weighs more.

    Args:
        unknown: Variables that were refused; nothing is concluded from their defaults.
    """
    if "USE_LOCAL_DB" not in unknown:
        yield from _of_database(settings)
    if "OPENAI_BASE_URL" not in unknown:
        yield from _of_models(settings)
    yield from _of_budgets(settings)
    yield from _of_secrets(settings)
    yield from _of_access(settings)


def _of_database(settings: Settings) -> Iterator[Finding]:
    in_use = settings.address_in_use()
    for name in ("LOCAL_DB_URL", *SUPABASE_ADDRESSES):
        if name != in_use and getattr(settings, name.lower()) is not None:
            reason = "USE_LOCAL_DB is not true" if name == "LOCAL_DB_URL" else f"{in_use} is first"
            yield Finding(name, True, f"Not used: {reason}.")
    try:
        settings.database_url()
    except SettingsError as error:
        yield Finding(error.field, False, error.message, error.hint)


def _of_models(settings: Settings) -> Iterator[Finding]:
    if settings.simulated:
        yield Finding(
            "SANDBOX_OPENAI_API_KEY",
            True,
            "No key and no address: the rehearsal endpoint answers, and its text is simulated.",
            "Set SANDBOX_OPENAI_API_KEY, or OPENAI_BASE_URL for a server of your own.",
        )
    if settings.sandbox_openai_api_key and settings.openai_api_key:
        yield Finding("OPENAI_API_KEY", True, "Not used: SANDBOX_OPENAI_API_KEY is first.")


def _of_budgets(settings: Settings) -> Iterator[Finding]:
    if settings.batch_budget_usd > settings.daily_budget_usd:
        yield Finding(
            "BATCH_BUDGET_USD",
            True,
            "It is over DAILY_BUDGET_USD, which stops a batch before.",
            "Raise DAILY_BUDGET_USD, or lower BATCH_BUDGET_USD.",
        )


def _of_secrets(settings: Settings) -> Iterator[Finding]:
    # Open on purpose, a missing token is no fault; what else uses it keeps the note.
    open_locally = settings.cornerman_insecure_local
    for name, missing in (
        ("CRON_SECRET", "Cron secret not configured"),
        ("API_TOKEN", "API token not configured"),
    ):
        secret: SecretStr | None = getattr(settings, name.lower())
        fix = f"Set {name} to the output of: {_MAKE_ONE}"
        if secret is None:
            yield Finding(name, open_locally, missing, fix)
        elif len(secret.get_secret_value()) < _SHORTEST_SECRET:
            yield Finding(name, True, f"Shorter than {_SHORTEST_SECRET} characters.", fix)
    if settings.api_token and settings.api_token == settings.cron_secret:
        fix = f"Set API_TOKEN to the output of: {_MAKE_ONE}"
        yield Finding("API_TOKEN", True, "The same as CRON_SECRET.", fix)


def _of_access(settings: Settings) -> Iterator[Finding]:
    if settings.cornerman_insecure_local:
        yield Finding(
            "CORNERMAN_INSECURE_LOCAL",
            True,
            "On a loopback address everybody on this machine may call without a token.",
            "Unset it anywhere but on your own machine.",
        )
    # Whoever may name os or subprocess as an evaluator may run anything.
    risky = sorted(
        prefix
        for prefix in settings.evaluator_modules
        if prefix.partition(".")[0] in sys.stdlib_module_names
    )
    if risky:
        yield Finding(
            "EVALUATOR_MODULES",
            True,
            f"Lets requests load Python's own {', '.join(risky)}.",
            "List modules of your own only.",
        )
