"""The one parameter of the flow `scout`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ScoutParameters(BaseModel):
    """What a scan for breakthroughs can be told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(200, ge=1, le=10_000, description="Most battles to look at.", examples=[200])
    run_id: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$",
        description="The scan's id; empty: the flow run gives it.",
        examples=["scout-2026-01-01"],
    )
