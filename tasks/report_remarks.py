"""What a report says of a batch in sentences."""

from __future__ import annotations

from typing import Any

from cornerman.domain.breakthroughs import Breakthrough
from cornerman.domain.runs import Run

_POLICIES = {
    "rotate": "those least recently met",
    "hardest": "those the agent does worst against",
    "uncertain": "those whose scores are least certain",
}


def batch_remarks(run: Run) -> list[str]:
    """Who was met, how far two referees agree, whether a version got worse; empty when unknown."""
    figures = run.metrics
    remarks = list[str]()
    if who := _POLICIES.get(str(figures.get("policy"))):
        remarks.append(f"Met by the policy {figures['policy']}: {who}.")
    if agreement := figures.get("referee_agreement"):
        remarks.append(_agreement(agreement))
    if worse := figures.get("regression"):
        remarks.append(
            f"The version is worse than {worse['previous']}: {worse['difference']:+.1f} points "
            f"(95%: {worse['low']:+.1f} to {worse['high']:+.1f})."
        )
    return remarks


def _agreement(figures: dict[str, Any]) -> str:
    return (
        f"A second referee judged {figures['n']} of the battles: {figures['mean_difference']:.1f} "
        f"points apart on average, {figures['within_10']:.0%} within 10 points."
    )


def confirmation(found: Breakthrough) -> str:
    """Whether re-runs with other seeds held up; empty when there were none."""
    if found.confirmed is None:
        return ""
    scores = ", ".join(f"{score:.0f}" for score in found.confirming_scores)
    return f"{'Confirmed' if found.confirmed else 'Not confirmed'} by re-runs that scored {scores}"
