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
        default="negotiation",
        min_length=1,
        description="Workflow whose agent plays.",
        examples=["negotiation"],
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=MAX_BATCH_SIZE,
        description="Battles in the batch; None: the setting's.",
        examples=[5],
    )
    policy: SelectionPolicy = Field(
        default="rotate",
        description="Which personas are met: rotate (least recently met), hardest, uncertain.",
        examples=["rotate"],
    )
    seed: int = Field(
        default=0,
        ge=0,
        le=2**31 - 1,
        description="The same seed gives the same battles.",
        examples=[0],
    )
    turn_limit: int | None = Field(
        default=None,
        ge=2,
        le=40,
        description="Turns of both sides together before a battle ends; None: the workflow's.",
        examples=[10],
    )
    batch_budget_usd: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Never spent beyond; None: the setting's.",
        examples=[5.0],
    )
    time_limit_ms: int | None = Field(
        default=None,
        ge=1,
        description="After this, running battles are cancelled; None: the setting's.",
        examples=[50000],
    )
    persona_ids: list[str] | None = Field(
        default=None,
        min_length=1,
        description="Choose among these personas alone; None: all active ones.",
        examples=[["negotiation-skeptic"]],
    )
    repeat_of: str | None = Field(
        default=None,
        min_length=1,
        max_length=128,
        description="Meet that batch's personas again, in the same scenarios with the same seeds, "
        "and compare; policy, size and persona_ids are left aside.",
        examples=["batch-2026-01-01"],
    )
    batch_key: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="The same key gives the same batch.",
        examples=["2026-01-01-morning"],
    )
    confirm_breakthroughs: bool = Field(
        default=True,
        description="Re-run a breakthrough with other seeds when time and budget allow.",
        examples=[True],
    )
    second_referee: bool = Field(
        default=False,
        description="Have a second referee judge each battle, to report agreement.",
        examples=[True],
    )


class BattleParameters(BattleBatchRequest):
    """The one parameter of the flow `battle-batch`: the request, and which batch it is."""

    run_id: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$",
        description="The batch's id; one that exists is continued. Empty: the flow run gives it.",
        examples=["batch-2026-01-01"],
    )
