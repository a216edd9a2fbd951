"""Re-running a breakthrough's battle with other seeds, to tell skill from luck."""

from __future__ import annotations

from typing import Any

from cornerman.domain.battles import Battle
from cornerman.domain.battles.breakthroughs import (
    RERUNS,
    Breakthrough,
    breakthrough_bar,
    is_confirmed,
)
from cornerman.domain.money import pico_to_usd
from cornerman.domain.runs import BudgetState
from cornerman.domain.seeds import derived_seed
from cornerman.flows.battle_run import battle_id, hold_battles, new_battle
from cornerman.storage import battles, breakthroughs, ledger
from cornerman.tasks.battle_context import BattleContext, BattleJob

# Another seed may talk longer; what is left must hold so many times what the first one took.
_MARGIN = 1.5


async def confirm_breakthroughs(context: BattleContext) -> None:
    """Re-run this batch's new breakthroughs while time and budget allow.

    A re-run that meets a spent budget ends there; it is no reason to trip the kill-switch.
    """
    for found in await context.db.read(
        breakthroughs.read_breakthroughs, batch_id=context.batch_id, status="pending_review"
    ):
        if found.confirmed is None and context.stopping is None:
            await _confirm(context, found)


async def _confirm(context: BattleContext, found: Breakthrough) -> None:
    held = await context.db.read(battles.read_battle, found.battle_id)
    if held is None or not await _affordable(context, held):
        return
    jobs = await context.db.write(_create_reruns, context, held)
    await hold_battles(context, jobs)
    await context.db.write(_keep, found.id, held, [job.battle_id for job in jobs])


async def _affordable(context: BattleContext, held: Battle) -> bool:
    if held.started_at is None or held.completed_at is None:
        return False
    seconds = (held.completed_at - held.started_at).total_seconds()
    if context.remaining_seconds < _MARGIN * seconds:
        return False
    needed_usd = _MARGIN * RERUNS * held.cost_usd
    for name, limit_pico in context.scope("").budgets.items():
        state: BudgetState | None = await context.db.read(ledger.read_budget, name)
        taken = 0 if state is None else state.spent_pico + state.reserved_pico
        if pico_to_usd(limit_pico - taken) < needed_usd:
            return False
    return True


def _create_reruns(session: Any, context: BattleContext, held: Battle) -> list[BattleJob]:
    setting = battles.read_setting(session, held.id)
    assert setting is not None, "every battle is stored with its setting"
    jobs = list[BattleJob]()
    for number in range(1, RERUNS + 1):
        seed = derived_seed(held.seed, "confirm", number)
        name = battle_id(context.batch_id, held.id, "confirm", number)
        job = BattleJob(name, *setting, held.position, seed, confirms=held.id)
        rerun = new_battle(
            job, context.batch_id, held.workflow_id, held.agent_version, simulated=held.simulated
        )
        battles.create_battle(session, rerun, job.persona, job.scenario)
        jobs.append(job)
    return jobs


def _keep(session: Any, breakthrough_id: str, held: Battle, rerun_ids: list[str]) -> None:
    found = breakthroughs.read_breakthrough(session, breakthrough_id)
    assert found is not None
    reruns = [battles.read_battle(session, rerun_id) for rerun_id in rerun_ids]
    scores = [b.score for b in reruns if b is not None and b.rated and b.score is not None]
    bar = breakthrough_bar(battles.read_earlier_scores(session, held))
    breakthroughs.update_breakthrough(
        session,
        found.model_copy(
            update={"confirmed": is_confirmed(scores, bar), "confirming_scores": tuple(scores)}
        ),
    )
