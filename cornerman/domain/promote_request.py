"""The one parameter of the flow `promote-breakthrough`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

# With fewer the paired interval can hardly lie above 0, however good the tactic.
FEWEST_PERSONAS = 10


class PromoteParameters(BaseModel):
    """Which breakthrough's tactic is tried, on how many personas, for how much."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    breakthrough_id: str = Field(min_length=1, description="A reviewed breakthrough.")
    by: str = Field("promotion", min_length=1, max_length=200, description="Who asks for it.")
    most_personas: int = Field(
        24,
        ge=FEWEST_PERSONAS,
        le=200,
        description="Held-out personas that both prompts meet, at most.",
    )
    max_cost_usd: float = Field(
        5.0, gt=0, allow_inf_nan=False, description="Budget of the trial; never passed."
    )
    seed: int = Field(
        0, ge=0, le=2**31 - 1, description="Another seed is another trial of the same tactic."
    )
