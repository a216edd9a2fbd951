"""Which models are asked, where, and what they cost."""

from __future__ import annotations

from typing import Any

from pydantic import Field, SecretStr, field_validator

from cornerman.domain.ledger import Role
from cornerman.domain.money import Price
from cornerman.settings.base import SettingsGroup
from cornerman.settings.values import check_web_address, parse_model_prices, parse_price

_ASKED_AS: dict[Role, Role] = {"judge": "referee", "scout": "referee", "generator": "optimizer"}
_REAL_DEFAULTS: dict[Role, str] = {"optimizer": "gpt-4o"}
_REAL_DEFAULT = "gpt-4o-mini"


class LLMSettings(SettingsGroup):
    """The model endpoint. Without a key and an address the rehearsal endpoint answers."""

    openai_base_url: str | None = Field(
        default=None, description="Address of an OpenAI-compatible endpoint; unset: OpenAI's own."
    )
    sandbox_openai_api_key: SecretStr | None = Field(
        default=None, description="Key of the endpoint; comes before OPENAI_API_KEY."
    )
    openai_api_key: SecretStr | None = Field(
        default=None, description="Key of the endpoint, when SANDBOX_OPENAI_API_KEY is not set."
    )
    agent_model: str | None = Field(default=None, description="Model of the agent that is trained.")
    persona_model: str | None = Field(default=None, description="Model that plays the personas.")
    referee_model: str | None = Field(
        default=None, description="Model of the referee, the llm_judge evaluator and the scout."
    )
    optimizer_model: str | None = Field(
        default=None, description="Model that rewrites prompts and generates personas."
    )
    model_prices: dict[str, Price] = Field(
        default_factory=dict[str, Price],
        description="JSON: model to input and output USD per million tokens, for models that "
        "the price table lacks.",
    )
    rehearsal_seed: int = Field(
        default=0, ge=0, le=2**31 - 1, description="The rehearsal endpoint's answers depend on it."
    )
    rehearsal_latency_ms: int = Field(
        default=20,
        ge=0,
        le=60_000,
        description="How long the rehearsal endpoint takes for an answer.",
    )

    @field_validator("openai_base_url")
    @classmethod
    def _openai_address(cls, value: str | None) -> str | None:
        return None if value is None else check_web_address(value)

    @field_validator("model_prices", mode="before")
    @classmethod
    def _prices(cls, value: Any) -> Any:
        if isinstance(value, str):
            return parse_model_prices(value)
        if isinstance(value, dict):
            items = value.items()
            return {
                name: price if isinstance(price, Price) else parse_price(str(name), price)
                for name, price in items
            }
        return value

    @property
    def api_key(self) -> SecretStr | None:
        """The key to call the endpoint with; local servers do without."""
        return self.sandbox_openai_api_key or self.openai_api_key

    @property
    def simulated(self) -> bool:
        """Whether the rehearsal endpoint answers, because neither key nor address is set."""
        return self.api_key is None and self.openai_base_url is None

    def model_for(self, role: Role) -> str:
        """The model of a role: judge and scout ask the referee's, generator the optimizer's."""
        asked = _ASKED_AS.get(role, role)
        chosen: str | None = getattr(self, f"{asked}_model")
        if chosen:
            return chosen
        return f"rehearsal-{asked}" if self.simulated else _REAL_DEFAULTS.get(asked, _REAL_DEFAULT)
