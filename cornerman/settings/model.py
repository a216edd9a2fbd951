"""All settings in one."""

from __future__ import annotations

from pydantic import PrivateAttr

from cornerman.settings.battle import BattleSettings
from cornerman.settings.database import DatabaseSettings
from cornerman.settings.gateway import GatewaySettings
from cornerman.settings.llm import LLMSettings

GROUPS = (DatabaseSettings, LLMSettings, BattleSettings, GatewaySettings)
# In the order in which people are shown them.
NAMES = tuple(name.upper() for group in GROUPS for name in group.model_fields)


class Settings(DatabaseSettings, LLMSettings, BattleSettings, GatewaySettings):
    """Everything that the environment and `.env` can say. Made by `load_settings`."""

    _sources: dict[str, str] = PrivateAttr(default_factory=dict[str, str])

    def sources(self) -> dict[str, str]:
        """Where each variable's value came from: `environment`, `.env`, `argument`, `default`."""
        return {name: self._sources.get(name, self._guess(name)) for name in NAMES}

    def remember_sources(self, sources: dict[str, str]) -> None:
        """Keep where values came from; for `load_settings`, which gives them as arguments."""
        self._sources.update(sources)

    def _guess(self, name: str) -> str:
        return "argument" if name.lower() in self.model_fields_set else "default"
