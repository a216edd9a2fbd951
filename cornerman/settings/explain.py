"""What is wrong, or worth knowing, about settings that are each valid by themselves.

What `cornerman doctor` says about each setting.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

from pydantic import SecretStr

from cornerman.domain.errors import SettingsError
from cornerman.domain.money.ledger import Role
from cornerman.settings.database import SUPABASE_ADDRESSES
from cornerman.settings.load import InvalidSettingsError, Reading, SettingProblem
from cornerman.settings.model import NAMES, Settings
from cornerman.settings.secrets import shown

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


_MODEL_ROLES: dict[str, Role] = {
    "AGENT_MODEL": "agent",
    "PERSONA_MODEL": "persona",
    "REFEREE_MODEL": "referee",
    "OPTIMIZER_MODEL": "optimizer",
}


@dataclass(frozen=True)
class SettingReport:
    """One variable: what it is, where that came from, and what is wrong.

    Args:
        value_shown: The value in use, or the refused one, secrets masked; empty: not set.
        source: `environment`, `.env`, `argument` or `default`.
        ok: False when something does not work; a `problem` beside True is advice.
        fix: What to do about `problem`.
    """

    name: str
    value_shown: str
    source: str
    ok: bool
    problem: str
    fix: str
    description: str


def explain(settings: Settings | SettingsError) -> list[SettingReport]:
    """Report on every variable, also when some of them were refused.

    Args:
        settings: The settings, or the error that came instead of them.

    Returns:
        One report a variable, in a fixed order; problems that belong to no variable, such as an
        unreadable `.env`, come last under a name of their own.
    """
    refused: list[SettingProblem] = []
    reading = Reading({}, {})
    if isinstance(settings, InvalidSettingsError):
        refused, reading = settings.problems, settings.reading
    elif isinstance(settings, SettingsError):
        refused = [SettingProblem(settings.field or "settings", settings.message, settings.hint)]
    unknown = {problem.name for problem in refused}
    if isinstance(settings, SettingsError):
        # What is valid is still judged, so that one look shows everything.
        settings = reading.settings_without(unknown)
    reports = {name: _report(name, settings) for name in NAMES}
    for finding in findings_of(settings, unknown):
        reports[finding.name] = replace(
            reports[finding.name], ok=finding.ok, problem=finding.problem, fix=finding.fix
        )
    for problem in refused:
        reports[problem.name] = _refused(problem, reading, reports.get(problem.name))
    return list(reports.values())


def _report(name: str, settings: Settings) -> SettingReport:
    return SettingReport(
        name=name,
        value_shown=_shown(name, settings),
        source=settings.sources()[name],
        ok=True,
        problem="",
        fix="",
        description=Settings.model_fields[name.lower()].description or "",
    )


def _refused(
    problem: SettingProblem, reading: Reading, report: SettingReport | None
) -> SettingReport:
    name = problem.name
    value = reading.values.get(name)
    base = report or SettingReport(name, "", name, False, "", "", "")
    return replace(
        base,
        value_shown="" if value is None else shown(name, value),
        source=reading.sources.get(name, base.source),
        ok=False,
        problem=problem.problem,
        fix=problem.fix,
    )


def _shown(name: str, settings: Settings) -> str:
    if name in _MODEL_ROLES:
        return shown(name, settings.model_for(_MODEL_ROLES[name]))
    if name == "CORNERMAN_HOME":
        return shown(name, str(settings.cornerman_home.expanduser()))
    value: Any = getattr(settings, name.lower())
    return "" if value is None else shown(name, _text(value))


def _text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | Mapping):
        return ", ".join(str(part) for part in value)
    return str(value)
