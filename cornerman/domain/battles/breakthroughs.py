"""Battles so good that their tactic should be kept, and what becomes of it.

Tactics are in `tactics`, and importable from here.

The one parameter of the flow `promote-breakthrough`.

The one parameter of the flow `scout`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import fmean
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cornerman.domain.battles import Record
from cornerman.domain.battles.tactics import Tactic as Tactic
from cornerman.domain.battles.tactics import carries_tactic as carries_tactic
from cornerman.domain.battles.tactics import observed_tactic as observed_tactic
from cornerman.domain.battles.tactics import parse_tactic as parse_tactic
from cornerman.domain.battles.tactics import same_tactic as same_tactic
from cornerman.domain.battles.tactics import scout_messages as scout_messages
from cornerman.domain.battles.tactics import tactic_response_format as tactic_response_format
from cornerman.domain.errors import BadInputError

BreakthroughStatus = Literal["pending_review", "reviewed", "promoted", "rejected"]

# Battles with other seeds that tell skill from luck.
RERUNS = 2

# A rejected tactic may be looked at again; a promoted one is part of a checkpoint and stays.
_NEXT: dict[BreakthroughStatus, tuple[BreakthroughStatus, ...]] = {
    "pending_review": ("reviewed", "rejected"),
    "reviewed": ("promoted", "rejected"),
    "rejected": ("pending_review",),
    "promoted": (),
}


class Review(Record):
    """One change of a breakthrough's state."""

    status: BreakthroughStatus
    by: str
    reason: str = ""
    at: datetime


class Breakthrough(Record):
    """A tactic with where it was seen and what was decided about it.

    Args:
        reason: Why the battle counted as one.
        confirmed: Whether re-runs with other seeds held up; None when there were none.
        confirming_scores: What those re-runs scored.
        reviews: Every change of state, oldest first.
        checkpoint_id: The checkpoint that it was promoted to.
        last_trial: How the last attempt to promote it went, in words.
        merged_battle_ids: Later battles that showed the same tactic.
    """

    id: str
    battle_id: str
    batch_id: str
    workflow_id: str
    persona_id: str
    agent_version: str = "c0"
    score: float = Field(ge=0, le=100)
    reason: str
    tactic: Tactic
    status: BreakthroughStatus = "pending_review"
    confirmed: bool | None = None
    confirming_scores: tuple[float, ...] = ()
    merged_battle_ids: tuple[str, ...] = ()
    reviews: tuple[Review, ...] = ()
    checkpoint_id: str | None = None
    last_trial: str | None = None
    simulated: bool = False
    created_at: datetime | None = None

    def moved(self, to: BreakthroughStatus, *, by: str, reason: str, at: datetime) -> Breakthrough:
        """The same breakthrough in another state, with who decided so, and why.

        Raises:
            BadInputError: The state does not follow the present one.
        """
        check_transition(self.status, to)
        review = Review(status=to, by=by, reason=reason, at=at)
        return self.model_copy(update={"status": to, "reviews": (*self.reviews, review)})


def is_breakthrough(
    score: float | None,
    history: Sequence[float],
    threshold: float = 95,
    margin: float = 15,
    min_history: int = 3,
) -> str | None:
    """Why a score is a breakthrough, or None when it is none.

    Args:
        score: The battle's; None when unscored, which never is one.
        history: The agent's earlier rated scores against the same persona.
        margin: How far above their mean a score must lie; it must beat the best of them too, so
            that a scattered history does not make one of every good day.
        min_history: With fewer earlier scores only the threshold counts.
    """
    if score is None:
        return None
    if score >= threshold:
        return f"score {score:.1f} is at least {threshold:g}"
    if len(history) < max(min_history, 1):
        return None
    mean = fmean(history)
    if score >= mean + margin and score > max(history):
        return (
            f"score {score:.1f} is {score - mean:.1f} above the mean of {len(history)} earlier "
            f"battles with this persona ({mean:.1f})"
        )
    return None


def breakthrough_bar(
    history: Sequence[float], threshold: float = 95, margin: float = 15, min_history: int = 3
) -> float:
    """The score from which a battle is a breakthrough; the arguments are `is_breakthrough`'s."""
    if len(history) < max(min_history, 1):
        return threshold
    return min(threshold, max(fmean(history) + margin, max(history)))


def is_confirmed(reruns: Sequence[float | None], threshold: float) -> bool | None:
    """Whether re-runs with other seeds hold up: at least half of the scored ones reach it.

    None when none was scored.
    """
    scored = [score for score in reruns if score is not None]
    if not scored:
        return None
    return 2 * sum(score >= threshold for score in scored) >= len(scored)


def allowed_transitions(status: BreakthroughStatus) -> tuple[BreakthroughStatus, ...]:
    """The states that may follow this one."""
    return _NEXT[status]


def check_transition(status: BreakthroughStatus, to: BreakthroughStatus) -> None:
    """Refuse a change of state that is not allowed.

    Raises:
        BadInputError: It is not; the message names those that are.
    """
    if to not in _NEXT[status]:
        allowed = ", ".join(_NEXT[status]) or "nothing"
        raise BadInputError(
            f"status: a breakthrough that is {status!r} can become {allowed}, but {to!r} came.",
            field="status",
        )


def find_duplicate(tactic: Tactic, known: Iterable[Breakthrough]) -> Breakthrough | None:
    """The first known breakthrough with nearly the same tactic, or None."""
    return next((k for k in known if same_tactic(k.tactic.tactic, tactic.tactic)), None)


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
