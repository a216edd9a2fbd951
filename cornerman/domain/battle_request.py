"""What a battle batch is asked for with: the one parameter of its flow."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SelectionPolicy = Literal["rotate", "hardest", "uncertain"]

DEFAULT_BATCH_SIZE = 5
MAX_BATCH_SIZE = 10


class BattleBatchRequest(BaseModel):
    """Everything a battle batch can be told; each None means the setting's value."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workflow_id: str = Field(
        default="negotiation", min_length=1, description="Workflow whose agent plays."
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=MAX_BATCH_SIZE,
        description="Battles in the batch; None: the setting's.",
    )
    policy: SelectionPolicy = Field(
        default="rotate",
        description="Which personas are met: rotate (least recently met), hardest, uncertain.",
    )
    seed: int = Field(
        default=0, ge=0, le=2**31 - 1, description="The same seed gives the same battles."
    )
    turn_limit: int = Field(
        default=10, ge=2, le=40, description="Turns of both sides together before a battle ends."
    )
    batch_budget_usd: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Never spent beyond; None: the setting's.",
    )
    time_limit_ms: int | None = Field(
        default=None,
        ge=1,
        description="After this, running battles are cancelled; None: the setting's.",
    )
    persona_ids: list[str] | None = Field(
        default=None,
        min_length=1,
        description="Choose among these personas alone; None: all active ones.",
    )
    batch_key: str | None = Field(
        default=None, min_length=1, max_length=200, description="The same key gives the same batch."
    )
    confirm_breakthroughs: bool = Field(
        default=False, description="Re-run a breakthrough with other seeds when the budget allows."
    )
    second_referee: bool = Field(
        default=False, description="Have a second referee judge each battle, to report agreement."
    )


class BattleParameters(BattleBatchRequest):
    """The one parameter of the flow `battle-batch`: the request, and which batch it is."""

    run_id: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$",
        description="The batch's id; one that exists is continued. Empty: the flow run gives it.",
    )
