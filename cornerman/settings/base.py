"""What all groups of settings share."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsGroup(BaseSettings):
    """Some settings that belong together; a field's environment variable is its upper-case name."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        # Lists and prices are parsed by us, so that the error can name what is wrong in them.
        enable_decoding=False,
        extra="ignore",
        frozen=True,
        # pydantic would print what it refused, secrets included.
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _blank_means_not_set(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        tidy = {name: v.strip() if isinstance(v, str) else v for name, v in data.items()}
        return {name: value for name, value in tidy.items() if value != ""}
