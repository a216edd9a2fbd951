"""What people are told of a batch."""

from __future__ import annotations

from typing import Any

from cornerman.storage import breakthroughs
from cornerman.tasks.battle_context import BattleContext
from cornerman.tasks.notify import Fact

from cornerman.domain import notices
from cornerman.domain.breakthroughs import Breakthrough
from cornerman.domain.errors import BudgetExceededError, StopError
from cornerman.domain.notices import BatchDone, BreakthroughFound, BudgetStopped, RunFailed


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
