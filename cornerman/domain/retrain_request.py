"""The one parameter of the flow `retrain`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from cornerman.domain.training import TrainSpec


class RetrainParameters(BaseModel):
    """Which workflows to train on, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workflow_ids: list[str] | None = Field(
        None,
        min_length=1,
        description="Only these workflows; empty: every one that has a best checkpoint.",
        examples=[["support-agent"]],
    )
    spec: TrainSpec | None = Field(
        None,
        description="Train by this request; empty: by that of the workflow's last training run. "
        "Its prompts are left aside: training goes on from the best checkpoint.",
    )
    epochs: int | None = Field(
        None, ge=1, le=50, description="In place of the request's epochs.", examples=[3]
    )
    max_cost_usd: float | None = Field(
        None, ge=0, description="Budget of each training run in USD; never passed.", examples=[1.0]
    )
    force: bool = Field(
        False,
        description="Train although nothing is new since the last training run.",
        examples=[True],
    )
