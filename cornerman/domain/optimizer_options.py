"""How a run searches for better prompts: `optimizer` of a training request."""

from __future__ import annotations

from pydantic import Field, field_validator

from cornerman.domain.dataset_options import Options
from cornerman.domain.entrypoints import STRATEGIES, syntax_fault
from cornerman.domain.json_values import FiniteNumber, WholeNumber, problem

# More at once gains nothing on one provider key and breaks fair use of it.
CONCURRENCY_CAP = 8


class OptimizerOptions(Options):
    """Search settings. The optional stops are checked before any work is started."""

    epochs: WholeNumber = Field(
        3, ge=1, le=50, description="Rounds; the first scores the starting prompts.", examples=[3]
    )
    checkpoint_interval: WholeNumber = Field(
        1,
        ge=1,
        le=100,
        description="Epochs between checkpoints; an improvement and the end give one anyway.",
        examples=[1],
    )
    case_timeout_seconds: FiniteNumber = Field(
        30.0,
        ge=1,
        le=300,
        description="Limit of one case: the agent's call and its evaluators.",
        examples=[30],
    )
    max_concurrency: WholeNumber = Field(
        4,
        ge=1,
        le=64,
        description=f"Cases at once; runs at most {CONCURRENCY_CAP}.",
        examples=[4],
    )
    strategy: str = Field(
        "reflective",
        description="`reflective`, `textual_gradient`, `gepa` (extra) or an allowed module:name.",
        examples=["reflective"],
    )
    patience: WholeNumber | None = Field(
        None,
        ge=1,
        json_schema_extra={"minimum": 1},
        description="Stop after so many epochs without an improvement.",
        examples=[2],
    )
    target_score: FiniteNumber | None = Field(
        None,
        ge=0,
        le=1,
        json_schema_extra={"minimum": 0, "maximum": 1},
        description="Stop when validation reaches this score.",
        examples=[0.95],
    )
    max_cost_usd: FiniteNumber | None = Field(
        None,
        ge=0,
        json_schema_extra={"minimum": 0},
        description="Budget of the run in USD; never passed.",
        examples=[1.0],
    )
    max_seconds: FiniteNumber | None = Field(
        None,
        gt=0,
        json_schema_extra={"exclusiveMinimum": 0},
        description="Start no more work after so many seconds.",
        examples=[600],
    )
    seed: WholeNumber = Field(0, description="Seed of every random choice.", examples=[0])
    repeats: WholeNumber = Field(
        1, ge=1, le=10, description="Runs of each case; a case's score is their mean.", examples=[1]
    )
    proposals: WholeNumber = Field(
        6, ge=1, le=8, description="Rewrites proposed and tried at once in a round.", examples=[6]
    )
    minibatch_size: WholeNumber = Field(
        3, ge=1, le=50, description="Train cases that a rewrite is first tried on.", examples=[3]
    )

    @property
    def effective_concurrency(self) -> int:
        """Cases that really run at once."""
        return min(self.max_concurrency, CONCURRENCY_CAP)

    @field_validator("strategy")
    @classmethod
    def _known_strategy(cls, value: str) -> str:
        if value in STRATEGIES:
            return value
        fault = syntax_fault(value, STRATEGIES)
        if fault:
            raise problem(fault)
        return value
