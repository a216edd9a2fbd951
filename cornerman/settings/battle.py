"""How many battles, how fast, how long and for how much."""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from cornerman.domain.battle_request import DEFAULT_BATCH_SIZE, MAX_BATCH_SIZE
from cornerman.domain.errors import BadInputError
from cornerman.settings.base import SettingsGroup
from cornerman.settings.values import check_cron


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
