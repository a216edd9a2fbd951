"""What `cornerman doctor` says about each setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import SecretStr

from cornerman.domain.errors import SettingsError
from cornerman.domain.ledger import Role
from cornerman.settings.findings import findings_of
from cornerman.settings.load import InvalidSettingsError, Reading
from cornerman.settings.masks import shown
from cornerman.settings.model import NAMES, Settings
from cornerman.settings.problems import SettingProblem

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
