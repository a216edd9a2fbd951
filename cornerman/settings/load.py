"""What processes of one machine tell each other by the environment.

Turning pydantic's refusals into sentences that name the variable, the value and the limit.

Reading the environment and `.env`, and saying everything that is wrong at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from cornerman.domain.errors import SettingsError
from cornerman.domain.secrets import forget_secrets
from cornerman.settings.model import NAMES, Settings
from cornerman.settings.prefect_key import adopt_key
from cornerman.settings.secrets import SECRETS, register_environment, shown

WORKER_LOCK = "CORNERMAN_WORKER_LOCK"


def worker_lock() -> Path | None:
    """The file that the worker which started this process locks while it lives."""
    path = os.environ.get(WORKER_LOCK)
    return Path(path) if path else None


# Prefect reports its use to its makers, from client and server; only the user's word turns it on.
_UNREPORTED = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}


def keep_prefect_silent() -> None:
    """Have Prefect report nothing from this process and its children; before it is imported."""
    for name, value in _UNREPORTED.items():
        os.environ.setdefault(name, value)


def child_environment() -> dict[str, str]:
    """The environment for a child that works in another folder: with what `.env` says here."""
    return read_environment().values | dict(os.environ)


_WHOLE_NUMBER = "be a whole number"
_NUMBER = "be a number"
_NEEDS = {
    "int_parsing": _WHOLE_NUMBER,
    "int_from_float": _WHOLE_NUMBER,
    "int_parsing_size": _WHOLE_NUMBER + " of reasonable size",
    "float_parsing": _NUMBER,
    "finite_number": "be a finite number",
    "bool_parsing": "be true or false",
}
_LIMITS = {
    "greater_than_equal": ("ge", "be at least {}"),
    "greater_than": ("gt", "be more than {}"),
    "less_than_equal": ("le", "be at most {}"),
    "less_than": ("lt", "be less than {}"),
}


@dataclass(frozen=True)
class SettingProblem:
    """What is wrong with one variable, and what mends it."""

    name: str
    problem: str
    fix: str


def problems_of(
    error: ValidationError, values: Mapping[str, str], sources: Mapping[str, str]
) -> list[SettingProblem]:
    """List what pydantic refused, one entry a variable, secrets left out."""
    details = error.errors(include_url=False, include_input=False)
    # A default that waits for another, refused variable is no problem of its own.
    refused = [detail for detail in details if detail["type"] != "default_factory_not_called"]
    problems = [_problem(detail, values, sources) for detail in refused]
    return sorted(problems, key=lambda problem: problem.name)


def _problem(
    detail: ErrorDetails, values: Mapping[str, str], sources: Mapping[str, str]
) -> SettingProblem:
    name = str(detail["loc"][0]).upper() if detail["loc"] else "settings"
    value = values.get(name)
    need = _need(detail)
    quoted = value is not None and name not in SECRETS and name != "MODEL_PRICES"
    said = f"is {shown(name, value)!r}; it must" if quoted and value is not None else "must"
    place = {".env": "in .env", "environment": "in the environment"}.get(sources.get(name, ""), "")
    return SettingProblem(
        name,
        f"{name} {said} {need}.",
        f"Change {name} {place}".rstrip() + ", or remove it for the default.",
    )


def _need(detail: ErrorDetails) -> str:
    kind, facts = detail["type"], detail.get("ctx", {})
    if kind in _LIMITS:
        fact, text = _LIMITS[kind]
        return text.format(_plain(facts[fact]))
    if kind == "value_error":
        return str(facts["error"])
    return _NEEDS.get(kind, f"be valid ({detail['msg']})")


def _plain(limit: Any) -> str:
    return f"{limit:g}" if isinstance(limit, float) and limit < 1e6 else f"{limit:.0f}"


ENV_FILE = ".env"


@dataclass(frozen=True)
class Reading:
    """What was found, before it was checked. Values never show in its repr.

    Args:
        values: Raw text by variable; what is blank counts as not set.
        sources: `environment` or `.env` by variable.
        file_problem: Why `.env` could not be read; None when it could, or is not there.
    """

    values: dict[str, str] = field(repr=False)
    sources: dict[str, str]
    file_problem: SettingProblem | None = None

    def settings_without(self, names: set[str]) -> Settings:
        """Settings of everything read but `names`, which take their defaults."""
        # Blanks, not absence: the environment would be asked again for what is absent.
        return self._settings({**self.values, **dict.fromkeys(names, "")})

    def _settings(self, values: dict[str, str]) -> Settings:
        given: dict[str, Any] = {name.lower(): value for name, value in values.items()}
        settings = Settings(_env_file=None, **given)  # pyright: ignore[reportCallIssue]
        settings.remember_sources({**dict.fromkeys(NAMES, "default"), **self.sources})
        return settings

    def settings(self) -> tuple[Settings | None, list[SettingProblem]]:
        """The settings, or everything that is wrong with them."""
        problems = [self.file_problem] if self.file_problem else []
        try:
            settings = self._settings(self.values)
        except ValidationError as error:
            return None, problems + problems_of(error, self.values, self.sources)
        return (None, problems) if problems else (settings, [])


class InvalidSettingsError(SettingsError):
    """Some settings do not hold what they must; `problems` has one entry for each.

    Args:
        reading: What was read, for `explain`.
    """

    def __init__(self, problems: list[SettingProblem], reading: Reading) -> None:
        super().__init__(
            "\n".join(problem.problem for problem in problems),
            field=", ".join(problem.name for problem in problems),
            hint="\n".join(dict.fromkeys(problem.fix for problem in problems)),
        )
        self.problems = problems
        self.reading = reading


def read_environment(env_file: str | Path | None = ENV_FILE) -> Reading:
    """Read every known variable; the environment wins over `.env`."""
    found: dict[str, dict[str, Any]] = {"environment": EnvSettingsSource(Settings)()}
    file_problem = None
    if env_file is not None:
        try:
            source = DotEnvSettingsSource(Settings, env_file=env_file, env_file_encoding="utf-8")
            found[ENV_FILE] = source()
        except (OSError, UnicodeDecodeError) as error:
            # A UnicodeDecodeError's text quotes the file, which may be a secret.
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            file_problem = SettingProblem(
                ENV_FILE, f"{env_file} cannot be read: {reason}.", "Mend the file or remove it."
            )
    values: dict[str, str] = {}
    sources: dict[str, str] = {}
    for source_name, raw in found.items():
        for name, value in raw.items():
            text = str(value).strip()
            if text and name.upper() in NAMES and name.upper() not in values:
                values[name.upper()] = text
                sources[name.upper()] = source_name
    return Reading(values, sources, file_problem)


def load_settings(env_file: str | Path | None = ENV_FILE) -> Settings:
    """Read and check all settings.

    Args:
        env_file: Read beside the environment, which wins; None: the environment alone.

    Raises:
        InvalidSettingsError: Something is wrong; it lists everything that is.
    """
    reading = read_environment(env_file)
    settings, problems = reading.settings()
    if settings is None:
        # Raised outside of any handler, so that no traceback carries the refused values.
        raise InvalidSettingsError(problems, reading)
    register_environment(reading.values)
    return settings


_chosen: list[Settings] = []


@cache
def _read_once() -> Settings:
    settings = load_settings()
    if settings.prefect_api_url is not None:
        adopt_key(settings.home, settings.prefect_api_url, os.environ)
    return settings


def get_settings() -> Settings:
    """The process's settings, read once."""
    return _chosen[-1] if _chosen else _read_once()


def use_settings(settings: Settings) -> None:
    """Have this process work with other settings than it would read, as the demo does."""
    _chosen[:] = [settings]


def reset_settings() -> None:
    """Forget what `get_settings` read; for tests that change the environment."""
    _chosen.clear()
    _read_once.cache_clear()
    forget_secrets()
