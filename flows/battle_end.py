"""How a batch ends: unfinished battles, kill-switch, ratings, scout, figures and messages."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime
from typing import Any

from cornerman.domain import notices
from cornerman.domain.battles import Battle, batch_metrics
from cornerman.domain.breakthroughs import Breakthrough
from cornerman.domain.errors import BudgetExceededError, CornermanError, StopError
from cornerman.domain.money import pico_to_usd
from cornerman.domain.notices import (
    BatchDone,
    BreakthroughFound,
    BudgetStopped,
    Regression,
    RunFailed,
)
from cornerman.domain.ratings import rate, regression, scores_by_persona
from cornerman.domain.runs import NewEvent, RunStatus
from flows.battle_run import BattleRun
from flows.engine import Engine
from storage import battles, breakthroughs, events, kill_switch, ledger, ratings, runs
from tasks.battle import finish_battle
from tasks.notify import notify
from tasks.scout import ScoutContext, scout_battle

_STATUS: dict[str, RunStatus] = {
    "cancelled": "cancelled",
    "budget": "stopped",
    "kill_switch": "stopped",
}


async def end_batch(run: BattleRun, engine: Engine, stop: StopError | None) -> dict[str, Any]:
    """Bring a batch to its end; whatever stopped it, finished battles count."""
    context = run.context
    await _close_unfinished(run, stop)
    if isinstance(stop, BudgetExceededError):
        await context.db.write(_trip_kill_switch, run, stop)
    stop = await _scout(run, engine) or stop
    held = await context.db.read(battles.read_battles, batch_id=context.batch_id)
    await _rate(run)
    result = await _result(run, held, stop)
    await context.db.write(_finish, run, result, stop)
    await _tell(run, result, stop)
    return result


async def _close_unfinished(run: BattleRun, stop: StopError | None) -> None:
    why = "The batch ended before the battle did." if stop is None else stop.message
    for battle in await run.context.db.read(
        battles.read_battles, batch_id=run.context.batch_id, with_turns=True
    ):
        if battle.status in ("pending", "running"):
            ended = battle.model_copy(update={"status": "cancelled", "error": why})
            await finish_battle(run.context, ended)


def _trip_kill_switch(session: Any, run: BattleRun, stop: BudgetExceededError) -> None:
    """Stop all paid work: a budget that was reached is for a person to look at."""
    reason = f"Batch {run.context.batch_id}: {stop.message}"
    kill_switch.create_kill_switch_state(session, active=True, reason=reason, by="ledger")
    payload = {
        "batch_id": run.context.batch_id,
        "budget": stop.scope,
        "limit_usd": stop.limit_usd,
        "spent_usd": stop.spent_usd,
        "refused_call_worst_case_usd": stop.needed_usd,
    }
    event = NewEvent("battle_batch", "budget_stopped", payload)
    events.create_event(session, run.context.batch_id, event)


async def _scout(run: BattleRun, engine: Engine) -> StopError | None:
    """Look at the batch's scored battles; a spent budget leaves the rest to the next scout."""
    context = run.context
    llm = engine.llm()
    scouting = ScoutContext(
        context.db, llm, context.settings, context.scope("scout"), context.batch_id
    )
    try:
        for battle in await context.db.read(battles.read_unscouted_battles):
            if battle.batch_id == context.batch_id:
                await scout_battle(scouting, battle.id)
    except BudgetExceededError as stop:
        await context.db.write(_trip_kill_switch, run, stop)
        return stop
    except StopError as stop:
        return stop
    finally:
        await llm.aclose()
    return None


async def _rate(run: BattleRun) -> None:
    context = run.context
    everything = await context.db.read(battles.read_battles, workflow_id=context.workflow.id)
    rated = rate(everything, seed=context.request.seed)
    await context.db.write(ratings.create_ratings, context.workflow.id, context.batch_id, rated)
    versions = list(dict.fromkeys(b.agent_version for b in everything if b.rated))
    if len(versions) < 2 or versions[-1] != context.agent_version:
        return
    before, after = versions[-2], versions[-1]
    alert = regression(scores_by_persona(everything, before), scores_by_persona(everything, after))
    if alert is not None:
        notice = Regression(
            version=after,
            previous=before,
            difference=alert.difference,
            low=alert.low,
            high=alert.high,
            battles=alert.personas,
            simulated=context.simulated,
        )
        key = f"regression:{context.workflow.id}:{before}:{after}"
        message = notices.regression(notice)
        await notify(context.db, context.settings, key, "regression", message)


async def _result(run: BattleRun, held: list[Battle], stop: StopError | None) -> dict[str, Any]:
    context = run.context
    found = await context.db.read(breakthroughs.read_breakthroughs, batch_id=context.batch_id)
    metrics = batch_metrics([b for b in held if b.confirms is None], len(found))
    cost_pico = await context.db.read(ledger.read_run_cost_pico, context.batch_id)
    return {
        "batchId": context.batch_id,
        "battlesCompleted": metrics.battles_completed,
        "averageScore": metrics.average_score,
        "totalCost": pico_to_usd(cost_pico),
        "breakthroughs": len(found),
        "errors": [f"{b.persona_id}: {b.error}" for b in held if b.status == "failed"],
        "stoppedBy": None if stop is None else stop.stopped_by,
        "completedAt": datetime.now(UTC).isoformat(),
        "workflowId": context.workflow.id,
        "agentVersion": context.agent_version,
        "simulated": context.simulated,
        "battles": [battle.brief() for battle in held if battle.confirms is None],
    }


def _finish(session: Any, run: BattleRun, result: dict[str, Any], stop: StopError | None) -> None:
    batch_id = run.context.batch_id
    ledger.settle_run_calls(session, batch_id)
    event = NewEvent("battle_batch", "batch_complete", result, "batch_complete")
    events.create_event(session, batch_id, event)
    stopped_by = None if stop is None else stop.stopped_by
    status = _STATUS.get(stopped_by or "", "completed")
    runs.finish_run(session, batch_id, status=status, stopped_by=stopped_by, result=result)


async def _tell(run: BattleRun, result: dict[str, Any], stop: StopError | None) -> None:
    context, settings = run.context, run.context.settings
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
        simulated=context.simulated,
    )
    key = f"batch:{context.batch_id}"
    await notify(context.db, settings, f"{key}:done", "batch", notices.batch_done(done))
    for found in await context.db.read(breakthroughs.read_breakthroughs, batch_id=context.batch_id):
        await tell_breakthrough(context.db, settings, found)
    if isinstance(stop, BudgetExceededError):
        stopped = BudgetStopped(
            budget=stop.scope,
            limit_usd=stop.limit_usd,
            spent_usd=stop.spent_usd,
            run_id=context.batch_id,
            kill_switch=True,
            simulated=context.simulated,
        )
        message = notices.budget_stopped(stopped)
        await notify(context.db, settings, f"{key}:budget", "budget", message)


async def tell_breakthrough(db: Any, settings: Any, found: Breakthrough) -> None:
    """Tell of a breakthrough, once."""
    notice = BreakthroughFound(
        battle_id=found.battle_id,
        persona=found.persona_id,
        score=found.score,
        tactic=f"{found.tactic.title}: {found.tactic.tactic}",
        snippet=found.tactic.snippet,
        simulated=found.simulated,
    )
    message = notices.breakthrough(notice)
    await notify(db, settings, f"breakthrough:{found.id}", "breakthrough", message)


async def end_failed_batch(run: BattleRun, error: Exception) -> None:
    """Keep what a batch has that failed for a reason of its own, and tell of it."""
    context = run.context
    await _close_unfinished(run, None)
    facts = {
        "type": type(error).__name__,
        "message": str(error),
        "hint": error.hint if isinstance(error, CornermanError) else "",
        "stack": "".join(traceback.format_exception(error))[-8_000:],
    }
    await context.db.write(
        runs.finish_run, context.batch_id, status="failed", stopped_by="error", error=facts
    )
    notice = RunFailed(context.batch_id, f"{facts['type']}: {facts['message']}", facts["hint"])
    key = f"batch:{context.batch_id}:failed"
    await notify(context.db, context.settings, key, "failure", notices.failure(notice))
