"""What people are told of a batch.

Ratings after a batch, and the alert when a version got worse.

How a batch ends: unfinished battles, ratings, its result, and the messages.
"""

from __future__ import annotations

import asyncio
import traceback
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from cornerman.domain import notices
from cornerman.domain.battles import Battle, batch_metrics, came_to_nothing
from cornerman.domain.battles.breakthroughs import (
    Breakthrough,
)
from cornerman.domain.battles.ratings import (
    RegressionAlert,
    change_since,
    nothing_differs,
    rate,
    regression,
    scores_by_persona,
)
from cornerman.domain.errors import BudgetExceededError, CornermanError, StopError
from cornerman.domain.money import pico_to_usd
from cornerman.domain.notices import (
    BatchDone,
    BreakthroughFound,
    BudgetStopped,
    Regression,
    RunFailed,
)
from cornerman.domain.referee.agreement import referee_agreement
from cornerman.domain.runs import NewEvent, RunStatus
from cornerman.flows.agent_notes import battle_notes
from cornerman.flows.battle_run import (
    RECENT_BATTLES,
    BattleRun,
)
from cornerman.storage import battles, breakthroughs, events, ledger, ratings, runs
from cornerman.tasks.battle import end_battle
from cornerman.tasks.battle_context import BattleContext
from cornerman.tasks.notify import Fact, notify_all, trip_kill_switch
from cornerman.tasks.scout import ScoutContext, scout_battle


def batch_facts(
    session: Any, context: BattleContext, result: dict[str, Any], stop: StopError | None
) -> list[Fact]:
    """That a batch is done, its breakthroughs, and a budget that stopped it."""
    done = BatchDone(
        batch_id=context.batch_id,
        completed=result["battlesCompleted"],
        total=len(result["battles"]),
        average_score=result["averageScore"],
        cost_usd=result["totalCost"],
        budget_usd=context.batch_budget_usd,
        breakthroughs=result["breakthroughs"],
        errors=tuple(result["errors"]),
        stopped_by=result["stoppedBy"],
        failed=result["battlesFailed"],
        is_lost=result["status"] == "failed",
        simulated=context.simulated,
    )
    facts = [Fact(f"batch:{context.batch_id}:done", "batch", notices.batch_done(done))]
    found = breakthroughs.read_breakthroughs(session, batch_id=context.batch_id)
    facts += [breakthrough_fact(one) for one in found]
    if isinstance(stop, BudgetExceededError):
        facts.append(budget_fact(context.batch_id, stop, simulated=context.simulated))
    return facts


def breakthrough_fact(found: Breakthrough) -> Fact:
    """A breakthrough, told once whoever found it."""
    confirmed = {None: "", True: " (confirmed by re-runs)", False: " (not confirmed by re-runs)"}
    notice = BreakthroughFound(
        battle_id=found.battle_id,
        persona=found.persona_id,
        score=found.score,
        tactic=f"{found.tactic.title}: {found.tactic.tactic}{confirmed[found.confirmed]}",
        snippet=found.tactic.snippet,
        simulated=found.simulated,
    )
    return Fact(f"breakthrough:{found.id}", "breakthrough", notices.breakthrough(notice))


def budget_fact(run_id: str, stop: BudgetExceededError, *, simulated: bool) -> Fact:
    """A budget that stopped a run and turned the kill-switch on."""
    stopped = BudgetStopped(
        budget=stop.scope,
        limit_usd=stop.limit_usd,
        spent_usd=stop.spent_usd,
        run_id=run_id,
        kill_switch=True,
        simulated=simulated,
    )
    return Fact(f"budget:{run_id}:{stop.scope}", "budget", notices.budget_stopped(stopped))


def failure_fact(run_id: str, facts: dict[str, Any], *, simulated: bool) -> Fact:
    """A run that failed, with what mends it."""
    error = f"{facts['type']}: {facts['message']}"
    notice = RunFailed(run_id, error, facts["hint"], simulated=simulated)
    return Fact(f"run:{run_id}:failed", "failure", notices.failure(notice))


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


# Scouting a batch whose time is up may still take so long; what is left is the next scout's.
SCOUT_GRACE_SECONDS = 5.0

_STATUS: dict[str, RunStatus] = {
    "cancelled": "cancelled",
    "budget": "stopped",
    "kill_switch": "stopped",
    "timeout": "stopped",
}


async def scout_batch(context: BattleContext) -> StopError | None:
    """Look at the batch's scored battles; return the stop that a call met, if one did."""
    scouting = ScoutContext(
        context.db, context.llm, context.settings, context.scope("scout"), context.batch_id
    )
    seconds = max(0.0, context.remaining_seconds) + SCOUT_GRACE_SECONDS
    try:
        async with asyncio.timeout(seconds):
            for battle_id in await context.db.read(
                battles.read_unscouted_ids, batch_id=context.batch_id
            ):
                await scout_battle(scouting, battle_id)
    except TimeoutError:
        return None
    except BudgetExceededError as stop:
        await context.db.write(trip_kill_switch, context.batch_id, scouting.scope, stop)
        return stop
    except StopError as stop:
        return stop
    return None


async def end_batch(run: BattleRun, stop: StopError | None) -> dict[str, Any]:
    """Bring a batch to its end; whatever stopped it, finished battles count.

    Returns:
        The batch object of `GET /api/cron/train`, plus `battles`.
    """
    context = run.context
    await context.db.write(_close_unfinished, context.batch_id, stop)
    standing = await rate_batch(context)
    result = await context.db.write(_finish, context, standing, stop)
    facts = await context.db.read(batch_facts, context, result, stop)
    alert = regression_fact(context, standing)
    await notify_all(context.db, context.settings, [*facts, *([alert] if alert else [])])
    return result


def _close_unfinished(session: Any, batch_id: str, stop: StopError | None) -> None:
    # First what is in flight, so that a battle's cost is all that was paid for it.
    ledger.settle_run_calls(session, batch_id)
    why = "The batch ended before the battle did." if stop is None else stop.message
    for battle in battles.read_battles(session, batch_id=batch_id):
        if battle.status in ("pending", "running"):
            closed = battle.model_copy(update={"status": "cancelled", "error": why})
            end_battle(session, batch_id, closed)


def _finish(
    session: Any, context: BattleContext, standing: Standing, stop: StopError | None
) -> dict[str, Any]:
    batch_id = context.batch_id
    result = _result(session, context, standing, stop)
    event = NewEvent("battle_batch", "batch_complete", result, "batch_complete")
    events.create_event(session, batch_id, event)
    kept = {"cost_usd": result["totalCost"], "breakthroughs": result["breakthroughs"]}
    runs.update_run_metrics(session, batch_id, result["metrics"] | kept)
    stopped_by = result["stoppedBy"]
    lost = result["status"] == "failed"
    error = came_to_nothing(_held(session, batch_id)) if lost else None
    runs.finish_run(
        session,
        batch_id,
        status=result["status"],
        stopped_by="error" if lost else stopped_by,
        result=result,
        error=error and error | {"hint": error["hint"].replace("BATCH_ID", batch_id)},
    )
    return result


def _held(session: Any, batch_id: str) -> list[Battle]:
    """A batch's battles without its re-runs."""
    everything = battles.read_battles(session, batch_id=batch_id)
    return [battle for battle in everything if battle.confirms is None]


def _result(
    session: Any, context: BattleContext, standing: Standing, stop: StopError | None
) -> dict[str, Any]:
    everything = battles.read_battles(session, batch_id=context.batch_id)
    held = [battle for battle in everything if battle.confirms is None]
    found = breakthroughs.read_breakthroughs(session, batch_id=context.batch_id)
    figures = batch_metrics(held, len(found))
    stopped_by = None if stop is None else stop.stopped_by
    notes = battle_notes(context, ledger.read_ledger_summary(session, context.batch_id))
    lost = stopped_by is None and came_to_nothing(held) is not None
    return {
        "batchId": context.batch_id,
        "status": "failed" if lost else _STATUS.get(stopped_by or "", "completed"),
        "battlesCompleted": figures.battles_completed,
        "battlesFailed": sum(b.status in ("failed", "unscored") for b in held),
        "averageScore": figures.average_score,
        "totalCost": pico_to_usd(ledger.read_run_cost_pico(session, context.batch_id)),
        "breakthroughs": figures.breakthroughs,
        "errors": [
            f"{battle.persona_id}: {battle.error}"
            for battle in held
            if battle.status in ("failed", "unscored")
        ],
        "stoppedBy": stopped_by,
        "completedAt": datetime.now(UTC).isoformat(),
        "workflowId": context.workflow.id,
        "agentVersion": context.agent_version,
        "simulated": context.simulated,
        "notes": notes,
        "battles": [battle.brief() for battle in held],
        "metrics": _metrics(held, standing)
        | {"reruns": len(everything) - len(held)}
        | {"against": _against(session, context, held)},
    }


def _against(session: Any, context: BattleContext, held: list[Battle]) -> dict[str, Any] | None:
    """How the batch went beside the one that it repeats; None when it repeats none."""
    repeated = context.request.repeat_of
    if repeated is None:
        return None
    earlier = _held(session, repeated)
    change = change_since(earlier, held, context.request.seed)
    return {
        "batch_id": repeated,
        "agent_version": earlier[0].agent_version,
        "average_score": batch_metrics(earlier).average_score,
        "change": change.as_dict(),
        "unchanged": nothing_differs(earlier, held),
    }


def _metrics(held: list[Battle], standing: Standing) -> dict[str, Any]:
    pairs = [(b.judged_scores[0], b.judged_scores[1]) for b in held if len(b.judged_scores) == 2]
    return {
        "scored": sum(battle.status == "scored" for battle in held),
        "unscored": sum(battle.status == "unscored" for battle in held),
        "failed": sum(battle.status == "failed" for battle in held),
        "cancelled": sum(battle.status == "cancelled" for battle in held),
        "spoiled": sum(battle.spoiled for battle in held),
        "referee_agreement": asdict(referee_agreement(pairs)) if pairs else None,
        "regression": standing.as_dict(),
    }


async def end_failed_batch(run: BattleRun, error: Exception) -> None:
    """Keep what a batch has that failed for a reason of its own, and tell of it."""
    context = run.context
    await context.db.write(_close_unfinished, context.batch_id, None)
    facts = {
        "type": type(error).__name__,
        "message": str(error),
        "hint": error.hint if isinstance(error, CornermanError) else "",
        "stack": "".join(traceback.format_exception(error))[-8_000:],
    }
    await context.db.write(
        runs.finish_run, context.batch_id, status="failed", stopped_by="error", error=facts
    )
    fact = failure_fact(context.batch_id, facts, simulated=context.simulated)
    await notify_all(context.db, context.settings, [fact])
