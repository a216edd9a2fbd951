"""Ratings after a batch, and the alert when a version got worse."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from cornerman.flows.battle_run import RECENT_BATTLES
from cornerman.storage import battles, ratings
from cornerman.tasks.battle_context import BattleContext
from cornerman.tasks.notify import Fact

from cornerman.domain import notices
from cornerman.domain.notices import Regression
from cornerman.domain.ratings import RegressionAlert, rate, regression, scores_by_persona


class Standing:
    """Where the agent's version stands after a batch.

    Args:
        previous: The version before this one that has rated battles; None when there is none.
        alert: It is worse than `previous` with 95% confidence.
    """

    def __init__(self, previous: str | None, alert: RegressionAlert | None) -> None:
        self.previous = previous
        self.alert = alert

    def as_dict(self) -> dict[str, Any] | None:
        """The alert's figures for the result; None without an alert."""
        if self.alert is None:
            return None
        return asdict(self.alert) | {"previous": self.previous}


async def rate_batch(context: BattleContext) -> Standing:
    """Rate versions and personas on what was held so far, and store it for this batch."""
    recent = await context.db.read(
        battles.read_battles,
        workflow_id=context.workflow.id,
        simulated=context.simulated,
        limit=RECENT_BATTLES,
    )
    # In a thread: the fits take tenths of a second, in which the heart could not beat.
    rated = await asyncio.to_thread(rate, recent, seed=context.request.seed)
    await context.db.write(ratings.create_ratings, context.workflow.id, context.batch_id, rated)
    versions = list(dict.fromkeys(b.agent_version for b in recent if b.rated))
    if len(versions) < 2 or versions[-1] != context.agent_version:
        return Standing(None, None)
    before, after = versions[-2], versions[-1]
    alert = await asyncio.to_thread(
        regression, scores_by_persona(recent, before), scores_by_persona(recent, after)
    )
    return Standing(before, alert)


def regression_fact(context: BattleContext, standing: Standing) -> Fact | None:
    """What to tell of a regression: once for each pair of versions."""
    alert, previous = standing.alert, standing.previous
    if alert is None or previous is None:
        return None
    notice = Regression(
        version=context.agent_version,
        previous=previous,
        difference=alert.difference,
        low=alert.low,
        high=alert.high,
        battles=alert.personas,
        simulated=context.simulated,
    )
    key = f"regression:{context.workflow.id}:{previous}:{context.agent_version}"
    return Fact(key, "regression", notices.regression(notice))
