"""Who may call, what may be loaded, and where messages go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, field_validator

from cornerman.settings.base import SettingsGroup
from cornerman.settings.values import (
    check_dask_address,
    check_web_address,
    module_allowed,
    parse_module_prefixes,
    split_list,
)


class GatewaySettings(SettingsGroup):
    """Secrets of the gateway, allow-lists and outside addresses."""

    cron_secret: SecretStr | None = Field(default=None, description="Bearer token of /api/cron/*.")
    api_token: SecretStr | None = Field(
        default=None, description="Bearer token of every other call and of the websocket."
    )
    cornerman_insecure_local: bool = Field(
        default=False, description="Open the gateway without tokens, on a loopback address only."
    )
    next_public_app_url: str | None = Field(
        default=None, description="Public address of the gateway, for links in messages."
    )
    slack_webhook_url: SecretStr | None = Field(
        default=None, description="Slack webhook for messages; unset: they go to the console."
    )
    prefect_api_url: str | None = Field(
        default=None, description="Prefect server; unset: an embedded one is used."
    )
    dask_scheduler: str | None = Field(
        default=None,
        description="Dask scheduler (tcp://HOST:8786) on whose workers training cases run; "
        "unset: they run in the flow's own process.",
    )
    evaluator_modules: tuple[str, ...] = Field(
        default=(),
        description="Comma-separated module prefixes that entrypoints may load from, besides "
        "the built-in evaluators.",
    )
    dataset_folders: tuple[Path, ...] = Field(
        default=(), description="Comma-separated folders that dataset.path may read from over HTTP."
    )

    @field_validator("next_public_app_url", "prefect_api_url")
    @classmethod
    def _gateway_addresses(cls, value: str | None) -> str | None:
        return None if value is None else check_web_address(value)

    @field_validator("dask_scheduler")
    @classmethod
    def _dask_address(cls, value: str | None) -> str | None:
        return None if value is None else check_dask_address(value)

    @field_validator("slack_webhook_url")
    @classmethod
    def _secret_web_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_web_address(value.get_secret_value())
        return value

    @field_validator("evaluator_modules", mode="before")
    @classmethod
    def _prefixes(cls, value: Any) -> Any:
        return parse_module_prefixes(value) if isinstance(value, str) else value

    @field_validator("dataset_folders", mode="before")
    @classmethod
    def _folders(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return tuple(Path(part).expanduser().absolute() for part in split_list(value))
        except RuntimeError:
            raise ValueError("list folders whose ~ stands for a home that exists") from None

    def allows_module(self, module: str) -> bool:
        """Whether EVALUATOR_MODULES lets entrypoints load from this module."""
        return module_allowed(module, self.evaluator_modules)
