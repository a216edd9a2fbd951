"""What a battle, its turns and a batch's figures are."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Speaker = Literal["agent", "persona"]
EndReason = Literal["turn_limit", "goal_reached", "walk_away", "stall", "repetition"]
BattleStatus = Literal["pending", "running", "scored", "unscored", "failed", "cancelled"]
OutcomeKind = Literal["deal", "no_deal"]

# What a side said is stored up to this many bytes; prompts keep less (see conversation).
STORED_TURN_BYTES = 64 * 1024
# Of a tool call's arguments, and of its result.
TOOL_CHARS = 16_000
MOST_TOOL_CALLS = 200


class Record(BaseModel):
    """A frozen record that goes to and from JSON; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ToolCall(Record):
    """A tool that the agent called before it spoke.

    Args:
        arguments: A JSON value, or the text that was none.
        result: What the tool answered; None when it failed, or when no answer was seen.
        error: What it answered where it failed.
    """

    name: str
    arguments: Any = None
    result: str | None = None
    error: str | None = None


class Turn(Record):
    """One thing that one side said. `index` counts from 0 over both sides."""

    index: int = Field(ge=0)
    speaker: Speaker
    text: str
    truncated: bool = Field(
        default=False, description="Whether text beyond the stored size was cut."
    )
    cost_usd: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    latency_ms: float = 0.0
    tool_calls: tuple[ToolCall, ...] = ()
    state: dict[str, Any] | None = Field(
        default=None, description="What else an own agent returned, where it returned a state."
    )


class Evaluated(Record):
    """What one of the workflow's evaluators found, 0 to 1, and whether it counts in the score."""

    score: float = Field(ge=0, le=1)
    reason: str | None = None
    counts: bool = True


class SubScore(Record):
    """One line of the rubric, 0 to 100. `evidence` is a quote from the turn if `evidence_ok`."""

    name: str
    score: float = Field(ge=0, le=100)
    turn: int | None = Field(default=None, description="Index of the turn that shows it.")
    evidence: str = ""
    evidence_ok: bool = Field(
        default=False, description="Whether the evidence occurs in that turn."
    )


class Outcome(Record):
    """What a price negotiation came to, computed and not judged.

    Args:
        agreed_price: None without a deal.
        agent_utility: The agent's share of the span between both targets, 0 to 1.
        persona_utility: The persona's share; both are 0 without a deal.
        score: 100 times `agent_utility`.
    """

    kind: OutcomeKind
    agreed_price: float | None
    agent_utility: float = Field(ge=0, le=1)
    persona_utility: float = Field(ge=0, le=1)
    score: float = Field(ge=0, le=100)


class Battle(Record):
    """One conversation of agent and persona with what became of it.

    Args:
        agent_version: The candidate or checkpoint whose prompts played the agent.
        score: 0 to 100; None unless `scored`. Never 0 for want of a verdict.
        fidelity: How well the persona stayed in character, 0 to 1; None when not judged.
        spoiled: The persona broke character; such a battle is left out of means and ratings.
        confirms: The battle that this one re-runs with another seed, to confirm it.
        judged_scores: What each referee that judged said, before a computed outcome or the
            workflow's evaluators took over.
        evaluations: What each of the workflow's evaluators found, by its id.
        referee_spread: Distance of the two referees' scores, when a second one judged.
    """

    id: str
    batch_id: str
    workflow_id: str = "negotiation"
    persona_id: str
    scenario_id: str | None = None
    position: int = 0
    status: BattleStatus = "pending"
    score: float | None = Field(default=None, ge=0, le=100)
    sub_scores: tuple[SubScore, ...] = ()
    rationale: str = ""
    outcome: Outcome | None = None
    ended_by: EndReason | None = None
    spoiled: bool = False
    fidelity: float | None = Field(default=None, ge=0, le=1)
    judged_scores: tuple[float, ...] = ()
    evaluations: dict[str, Evaluated] = Field(default_factory=dict[str, Evaluated])
    referee_spread: float | None = None
    cost_usd: float = 0.0
    error: str | None = None
    turns: tuple[Turn, ...] = ()
    simulated: bool = False
    seed: int = 0
    agent_version: str = "c0"
    confirms: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None

    @property
    def rated(self) -> bool:
        """Whether the battle counts in means and ratings."""
        return self.status == "scored" and self.score is not None and not self.spoiled

    def brief(self) -> dict[str, Any]:
        """The battle's line in a batch's answer."""
        return {
            "id": self.id,
            "persona_id": self.persona_id,
            "status": self.status,
            "score": self.score,
            "ended_by": self.ended_by,
            "cost_usd": self.cost_usd,
        }


class BatchMetrics(Record):
    """A batch's figures. `average_score` is None when no battle could be rated."""

    battles_completed: int
    average_score: float | None
    total_cost: float
    breakthroughs: int
    errors: int


def batch_metrics(battles: Iterable[Battle], breakthroughs: int = 0) -> BatchMetrics:
    """Sum up a batch.

    Completed are battles whose conversation ended, scored or not. The mean is over rated
    battles only; the cost is over all, because failed and cancelled calls cost money too.
    """
    held = list(battles)
    scores = [b.score for b in held if b.rated and b.score is not None]
    return BatchMetrics(
        battles_completed=sum(b.status in ("scored", "unscored") for b in held),
        average_score=sum(scores) / len(scores) if scores else None,
        total_cost=sum(b.cost_usd for b in held),
        breakthroughs=breakthroughs,
        errors=sum(b.status == "failed" for b in held),
    )


def unscored_words(scored: int, failed: int, unscored: int, total: int) -> str:
    """How many of a batch's battles came to nothing, in words; empty when none did.

    Args:
        failed: Could not be held.
        unscored: Were held, and no referee gave a usable verdict.
    """
    parts = [f"{failed} failed"] if failed else []
    parts += [f"{unscored} without a verdict"] if unscored else []
    if not parts:
        return ""
    return f"{scored} of {total} battles scored, {', '.join(parts)}"


def came_to_nothing(battles: Iterable[Battle]) -> dict[str, str] | None:
    """The error of a batch without one scored battle; None when one was, or none was held."""
    held = list(battles)
    lost = [b for b in held if b.status in ("failed", "unscored")]
    if not lost or any(b.status == "scored" for b in held):
        return None
    failed = sum(b.status == "failed" for b in lost)
    words = unscored_words(0, failed, len(lost) - failed, len(held))
    first = lost[0]
    return {
        "type": "NoBattleScoredError",
        "message": f"{words}. The first, {first.persona_id}: {first.error}",
        "hint": "Look at one with: cornerman runs show BATCH_ID; at the settings: cornerman doctor",
    }
