"""Reading the environment and `.env`, and saying everything that is wrong at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from cornerman.domain.errors import SettingsError
from cornerman.domain.secrets import forget_secrets
from cornerman.settings.model import NAMES, Settings
from cornerman.settings.problems import SettingProblem, problems_of
from cornerman.settings.secrets import register_environment

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
    return load_settings()


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
