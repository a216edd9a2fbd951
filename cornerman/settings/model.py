"""How many battles, how fast, how long and for how much.

Which models are asked, where, and what they cost.

Who may call, what may be loaded, and where messages go.

All settings in one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr, SecretStr, ValidationInfo, field_validator

from cornerman.domain.battles.request import DEFAULT_BATCH_SIZE, MAX_BATCH_SIZE
from cornerman.domain.errors import BadInputError
from cornerman.domain.money import Price
from cornerman.domain.money.ledger import Role
from cornerman.domain.runs import DEFAULT_CONCURRENT_CASES, MOST_CONCURRENT_CASES
from cornerman.domain.traces import RecordCalls
from cornerman.settings.database import DatabaseSettings
from cornerman.settings.values import (
    SettingsGroup,
    check_cron,
    check_dask_address,
    check_web_address,
    module_allowed,
    parse_model_prices,
    parse_module_prefixes,
    parse_price,
    split_list,
)


def _default_batch_size(data: dict[str, Any]) -> int:
    # Who lowers the maximum alone means the default too.
    return min(DEFAULT_BATCH_SIZE, data.get("max_training_batch_size", MAX_BATCH_SIZE))


class BattleSettings(SettingsGroup):
    """Battle batches and the budgets."""

    # Before training_batch_size, whose check reads it.
    max_training_batch_size: int = Field(
        default=MAX_BATCH_SIZE,
        ge=1,
        le=MAX_BATCH_SIZE,
        description="Most battles that a batch may have.",
    )
    training_batch_size: int = Field(
        default_factory=_default_batch_size,
        ge=1,
        description="Battles of a batch that names no size, at most MAX_TRAINING_BATCH_SIZE.",
    )
    max_training_execution_time_ms: int = Field(
        default=50_000,
        ge=1,
        le=86_400_000,
        description="Time limit of a batch; then battles are cancelled.",
    )
    max_concurrent_battles: int = Field(
        default=3, ge=1, le=64, description="Battles at the same time."
    )
    max_concurrent_cases: int = Field(
        default=DEFAULT_CONCURRENT_CASES,
        ge=1,
        le=MOST_CONCURRENT_CASES,
        description="Training cases at the same time, over all runs of the database; caps "
        "max_concurrency.",
    )
    delay_between_battles_ms: int = Field(
        default=1_000, ge=0, le=600_000, description="Pause between the starts of two battles."
    )
    batch_budget_usd: float = Field(
        default=5.0,
        gt=0,
        le=1_000_000,
        allow_inf_nan=False,
        description="Most that one batch may spend.",
    )
    daily_budget_usd: float = Field(
        default=15.0,
        gt=0,
        le=1_000_000,
        allow_inf_nan=False,
        description="Most that a UTC day may spend.",
    )
    battle_cron: str = Field(default="*/30 * * * *", description="When scheduled batches start.")

    @field_validator("training_batch_size")
    @classmethod
    def _within_the_maximum(cls, value: int, info: ValidationInfo) -> int:
        most: int = info.data.get("max_training_batch_size", MAX_BATCH_SIZE)
        if value > most:
            raise ValueError(f"be at most {most} (MAX_TRAINING_BATCH_SIZE)")
        return value

    @field_validator("battle_cron")
    @classmethod
    def _cron(cls, value: str) -> str:
        return check_cron(value)

    def batch_size_checked(self, size: int | None) -> int:
        """The size of a batch for which `size` was asked; None: TRAINING_BATCH_SIZE.

        Raises:
            BadInputError: The size is under 1 or over MAX_TRAINING_BATCH_SIZE.
        """
        if size is None:
            return self.training_batch_size
        most = self.max_training_batch_size
        given: Any = size
        if isinstance(given, int) and not isinstance(given, bool) and 1 <= given <= most:
            return given
        raise BadInputError(
            f"batchSize is {given!r}; it must be a whole number of 1 to {most}.",
            field="batchSize",
            hint=f"Ask for at most {most} battles (MAX_TRAINING_BATCH_SIZE, never over "
            f"{MAX_BATCH_SIZE}).",
        )


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
    anthropic_base_url: str | None = Field(
        default=None,
        description="Address of Anthropic's Messages API for agents that use it; unset: its own.",
    )
    anthropic_api_key: SecretStr | None = Field(
        default=None, description="Key of Anthropic's Messages API, for agents that use it."
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
    max_output_tokens: int = Field(
        default=16_384,
        ge=1,
        le=1_000_000,
        description="The largest limit under which an answer is asked for again whose tokens "
        "were spent on thought.",
    )
    record_calls: RecordCalls = Field(
        default="full",
        description="What is kept of each model call: full (messages, tools, answers) or usage "
        "(tokens, cost and time alone).",
    )
    otel_exporter_otlp_endpoint: str | None = Field(
        default=None,
        description="An OpenTelemetry collector that gets runs, cases, calls and tools as spans.",
    )
    otel_instrumentation_genai_capture_message_content: bool = Field(
        default=False, description="Whether those spans hold what was asked and answered."
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

    @field_validator("openai_base_url", "anthropic_base_url", "otel_exporter_otlp_endpoint")
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
    prefect_idle_seconds: float = Field(
        default=600.0,
        ge=0,
        le=86_400,
        allow_inf_nan=False,
        description="How long the embedded Prefect server that commands share stays after the "
        "last of them; 0: each command starts one of its own.",
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
