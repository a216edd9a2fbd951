"""When a workflow is worth training again, and when what came of it replaces what there was.

The one parameter of the flow `retrain`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cornerman.domain.battles.breakthroughs import Breakthrough
from cornerman.domain.notices import SlackMessage
from cornerman.domain.statistics import PairedInterval
from cornerman.domain.training import TrainSpec

Decision = Literal["nothing new", "promoted", "kept", "failed"]

_HEEDED = ("reviewed", "promoted")


@dataclass(frozen=True)
class Retrained:
    """What a night did for one workflow.

    Args:
        reasons: Why it was trained; empty when it was not.
        why: Why it was decided so, in words.
        run_id: Its training run; None when there was none.
        change: The paired interval that decided; None when nothing was compared.
    """

    workflow_id: str
    decision: Decision
    why: str
    reasons: tuple[str, ...] = ()
    run_id: str | None = None
    change: PairedInterval | None = None
    cost_usd: float = 0.0
    report: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON form, with the fields' names."""
        change = None if self.change is None else self.change.as_dict()
        return {**vars(self), "reasons": list(self.reasons), "change": change}


def new_breakthroughs(
    found: Iterable[Breakthrough], since: datetime | None
) -> tuple[Breakthrough, ...]:
    """Breakthroughs that a person took up, or that were promoted, after the last training."""
    return tuple(
        one
        for one in found
        if any(
            review.status in _HEEDED and (since is None or review.at > since)
            for review in one.reviews
        )
    )


def reasons_to_train(
    known: str | None, dataset: str, breakthroughs: Sequence[Breakthrough]
) -> tuple[str, ...]:
    """Say what is new since the last training.

    Args:
        known: Fingerprint of the dataset that was trained on last; None when none ever was.
        dataset: Its fingerprint now.
        breakthroughs: Those that are new.
    """
    reasons = list[str]()
    if known != dataset:
        reasons.append(f"the dataset has changed (fingerprint {dataset}, it was {known})")
    if breakthroughs:
        titles = "; ".join(one.tactic.title for one in breakthroughs)
        reasons.append(f"{len(breakthroughs)} new breakthroughs: {titles}")
    return tuple(reasons)


def judged(change: PairedInterval, where: str) -> tuple[Decision, str]:
    """Whether the new prompts replace the incumbent's: only when surely better."""
    if change.n == 0 or change.mean is None:
        return "kept", "no case has scores of both, so nothing shows that it is better"
    shown = f"{change.mean:+.4f} (95%: {change.low:+.4f} to {change.high:+.4f}, n={change.n})"
    if change.better:
        return "promoted", f"better on {where} by {shown}"
    return "kept", f"not surely better on {where}: {shown}"


def retrained_message(done: Retrained, *, simulated: bool) -> SlackMessage:
    """Say what a night's training came to."""
    mark = "[simulated] " if simulated else ""
    title = f"{mark}Retraining of {done.workflow_id}: {done.decision}"
    lines = [f"*{title}*", done.why, *(f"• {reason}" for reason in done.reasons)]
    if done.run_id is not None:
        lines.append(f"Run {done.run_id}, ${done.cost_usd:.4f}")
    text = "\n".join(lines)[:2900].replace("&", "&amp;").replace("<", "&lt;")
    block = {"type": "section", "text": {"type": "mrkdwn", "text": text}}
    return SlackMessage("\n".join([title, *lines[1:]])[:2900], (block,))


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
