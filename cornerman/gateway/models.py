"""Shapes of the gateway's answers, for its OpenAPI document; keys are named as the contract's."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from cornerman.domain.battles.request import MAX_BATCH_SIZE
from cornerman.domain.json_values import JsonText


def _refuse_text(value: Any) -> Any:
    if isinstance(value, (str, bytes, bool)):
        raise ValueError("must be a whole number")
    return value


WholeNumber = Annotated[int, BeforeValidator(_refuse_text)]
RunStatusName = Literal["pending", "running", "completed", "stopped", "cancelled", "failed"]


class ErrorBody(BaseModel):
    """Every refusal."""

    model_config = ConfigDict(extra="allow")

    error: str = Field(description="A few words that name the trouble.")
    message: str = Field(description="What was expected, what came, and what mends it.")
    hint: str | None = Field(None, description="What mends it, alone.")


class CheckpointBody(BaseModel):
    """A stored candidate with the scores that its prompts got."""

    id: str
    workflow_id: str
    config_version: int = Field(description="Counts up per workflow.")
    runnable_config: dict[str, Any] = Field(description="Holds `prompts`; reuse it in a new run.")
    metrics: dict[str, Any]
    metadata: dict[str, Any]
    artifact_url: str | None
    is_best: bool
    created_at: datetime


class LivePromptsBody(BaseModel):
    """The prompts in production, and where they come from."""

    workflow_id: str
    checkpoint_id: str
    config_version: int
    prompts: dict[str, dict[str, Any]]
    promoted_at: datetime
    reason: str = Field(description="Why they were put into production.")


class EventBody(BaseModel):
    """One line of a run's log."""

    seq: int
    node: str
    event: str
    payload: dict[str, Any]
    created_at: datetime


class CallBody(BaseModel):
    """One model call of a case or battle."""

    model_config = ConfigDict(extra="allow")

    seq: int
    role: str
    model: str
    prompts: list[str]
    messages: list[Any]
    tools: list[Any]
    response: Any
    tool_calls: list[dict[str, Any]]
    usage: dict[str, int]
    cost_usd: float
    latency_ms: float
    error: str | None


class RunBody(BaseModel):
    """A run's state and figures."""

    model_config = ConfigDict(extra="allow")

    id: str
    kind: Literal["train", "evaluate", "battle", "scout", "judge"]
    workflow_id: str
    status: RunStatusName
    stopped_by: str | None
    metrics: dict[str, Any]
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    simulated: bool
    last_seq: int
    cost_usd: float
    cancel_requested: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class CamelBody(BaseModel):
    """An object whose keys are written likeThis."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")


class BatchBody(CamelBody):
    """A battle batch's figures."""

    batch_id: str
    status: str = Field(description="completed, stopped, cancelled; failed: nothing was scored.")
    battles_completed: int
    battles_failed: int = Field(description="Could not be held, or have no usable verdict.")
    average_score: float | None = Field(description="0 to 100; null when no battle was rated.")
    total_cost: float = Field(description="USD")
    breakthroughs: int
    errors: list[str]
    stopped_by: str | None
    completed_at: datetime


class BatchAnswer(BaseModel):
    """A batch that has ended."""

    success: bool
    batch: BatchBody
    message: str


class StartedBatch(CamelBody):
    """A batch that was started, or that the same key started before."""

    batch_id: str
    status: RunStatusName
    started_at: datetime


class StartedAnswer(BaseModel):
    """What POST /api/cron/train answers."""

    success: bool
    status: Literal["started"]
    batch: StartedBatch
    message: str


class ScoutAnswer(BaseModel):
    """What a scan for breakthroughs came to."""

    success: bool
    processed: int
    message: str


class KillSwitchBody(BaseModel):
    """Whether paid work is stopped."""

    active: bool
    reason: str
    by: str
    since: datetime | None


class KillSwitchChange(BaseModel):
    """What the kill-switch should be."""

    model_config = ConfigDict(extra="forbid")

    active: bool = Field(strict=True)
    reason: str = Field("", max_length=2_000, description="Why; shown to all.")


class TrainBatchRequest(CamelBody):
    """What a batch can be told."""

    batch_size: WholeNumber | None = Field(
        None,
        description="Battles in the batch, 1 to MAX_TRAINING_BATCH_SIZE; null: the setting's.",
        json_schema_extra={"minimum": 1, "maximum": MAX_BATCH_SIZE},
    )
    workflow_id: JsonText | None = Field(
        None,
        min_length=1,
        max_length=128,
        description="Whose agent plays: a built-in or stored workflow; null: negotiation.",
    )


class StateChange(BaseModel):
    """What was decided about a breakthrough."""

    model_config = ConfigDict(extra="forbid")

    state: Literal["pending_review", "reviewed", "promoted", "rejected"]
    reason: str = Field("", max_length=2_000)


class DatasetBody(BaseModel):
    """A stored dataset."""

    path: str = Field(description="Usable as `dataset.path`.")
    bytes: int
    records: int


class Health(BaseModel):
    """Whether the gateway can do its work."""

    status: Literal["ok", "unavailable"]
    database: str
    prefect: str
    version: str


class IntervalBody(BaseModel):
    """A mean with its 95% interval."""

    value: float | None
    low: float | None
    high: float | None
    n: int


class AnyBody(BaseModel):
    """An object whose keys the monitor knows."""

    model_config = ConfigDict(extra="allow")


class SummaryAnswer(AnyBody):
    """The monitor's cards."""

    workflow_id: str
    workflows: list[str]
    simulated: bool
    kill_switch: KillSwitchBody
    battles: int
    average_score: IntervalBody
    budgets: dict[str, Any]
    breakthroughs: dict[str, int]
    runs: list[dict[str, Any]]


class BattleBody(AnyBody):
    """A battle; `turns` and `scenario` are there when it is asked for alone."""

    id: str
    batch_id: str
    persona_id: str
    persona_name: str
    status: str
    score: float | None


class BattlesAnswer(BaseModel):
    """The newest battles, and every batch's average."""

    battles: list[BattleBody]
    batches: list[AnyBody]


class TrainingAnswer(BaseModel):
    """The newest training run of a workflow; null when there is none."""

    run: AnyBody | None
    epochs: list[AnyBody]
    latest: list[AnyBody]


class EvaluationAnswer(AnyBody):
    """The newest evaluation of a workflow; its `run` is null when there is none."""

    run: AnyBody | None
    columns: list[AnyBody]
    cases: list[AnyBody] = Field(description="The cases on which the columns differ.")


class RatingsAnswer(BaseModel):
    """Ratings, the strongest first."""

    ratings: list[AnyBody]


class PersonasAnswer(BaseModel):
    """Personas with how hard they were."""

    personas: list[AnyBody]


class BreakthroughBody(AnyBody):
    """A tactic, where it was seen and what was decided about it."""

    id: str
    battle_id: str
    status: Literal["pending_review", "reviewed", "promoted", "rejected"]


class BreakthroughsAnswer(BaseModel):
    """Breakthroughs, newest first."""

    breakthroughs: list[BreakthroughBody]
