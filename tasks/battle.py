"""One battle: a conversation, turn by turn into the database, then the referee."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from cornerman.clients.llm import ChatAnswer
from cornerman.domain.battles import Battle, Turn, batch_metrics
from cornerman.domain.battles.conversation import end_reason, make_turn
from cornerman.domain.errors import BudgetExceededError, CornermanError, LLMError, StopError
from cornerman.domain.money import pico_to_usd
from cornerman.domain.runs import NewEvent
from cornerman.domain.secrets import redact
from cornerman.storage import battles, events, ledger, runs
from cornerman.tasks.battle_calls import Stage, judged
from cornerman.tasks.battle_checks import UncheckedError, checked
from cornerman.tasks.battle_context import BattleContext, BattleJob
from cornerman.tasks.battle_seat import seated, store_turn
from cornerman.tasks.judge import judging
from cornerman.tasks.notify import trip_kill_switch
from cornerman.tasks.telemetry import Telemetry

log = logging.getLogger(__name__)

_ENDED = ("scored", "unscored", "failed")
_MOST_ERROR_CHARS = 4_000


@task(name="battle", tags=["battle"], cache_policy=NO_CACHE, persist_result=False)
async def run_battle(context: BattleContext, job: BattleJob) -> Battle:
    """Hold one battle to its end and have it judged; go on where a killed process left it.

    A battle that cannot be held is `failed`, with its error; that is a result, not an end of
    the batch.

    Raises:
        StopError: The batch must start no more work.
    """
    context.check()
    stored = await context.db.read(battles.read_battle, job.battle_id)
    assert stored is not None, "battles are stored before they are held"
    if stored.status in _ENDED:
        return stored
    await context.wait_to_start()
    context.check()
    battle = stored.model_copy(
        update={
            "status": "running",
            "error": None,
            "started_at": stored.started_at or datetime.now(UTC),
        }
    )
    await context.db.write(_begin, context.batch_id, battle)
    try:
        battle = await _hold(context, job, battle)
    except StopError as stop:
        context.stop(stop)
        # A re-run that only confirms may be done without.
        if isinstance(stop, BudgetExceededError) and job.confirms is None:
            scope = context.scope(job.subject)
            await context.db.write(trip_kill_switch, context.batch_id, scope, stop)
        raise
    except LLMError as error:
        battle = _failed(battle, f"{error.kind}: {error.message}")
    except CornermanError as error:
        battle = _failed(battle, f"{error.message} {error.hint}".strip())
    except Exception as error:
        if context.agent is None:
            log.exception("Battle %s failed", job.battle_id)
        battle = _failed(battle, redact(f"{type(error).__name__}: {error}")[:_MOST_ERROR_CHARS])
    ended = await context.db.write(end_battle, context.batch_id, battle)
    if context.telemetry is not None:
        await _tell_telemetry(context, context.telemetry, job, ended)
    return ended


async def _tell_telemetry(
    context: BattleContext, telemetry: Telemetry, job: BattleJob, battle: Battle
) -> None:
    facts: dict[str, Any] = {
        "cornerman.battle.id": job.battle_id,
        "cornerman.persona.id": job.persona.id,
        "cornerman.status": battle.status,
    }
    if battle.score is not None:
        facts["cornerman.score"] = battle.score
    began = battle.started_at or datetime.now(UTC)
    await telemetry.ended(
        context.batch_id,
        job.subject,
        name=context.workflow.id,
        conversation=job.battle_id,
        began=began.timestamp(),
        facts=facts,
        error=battle.error,
    )


def _failed(battle: Battle, error: str) -> Battle:
    return battle.model_copy(update={"status": "failed", "error": error})


async def _hold(context: BattleContext, job: BattleJob, battle: Battle) -> Battle:
    stage = Stage(
        settings=context.settings,
        workflow=context.workflow,
        limits=context.limits,
        prompts=context.prompts,
        persona=job.persona,
        scenario=job.scenario,
        seed=job.seed,
    )
    turns = list(battle.turns)
    async with seated(context, job, stage, turns) as own:
        while (ended := end_reason(turns, job.scenario, context.limits)) is None:
            context.check()
            if own is not None and stage.speaker(turns) == "agent":
                turns.append(await own.speak(turns))
            else:
                turns.append(await _speak(context, job, stage, turns))
    context.check()
    told = battle.model_copy(update={"turns": tuple(turns), "ended_by": ended})
    return await _judged(context, job, stage, told)


async def _judged(context: BattleContext, job: BattleJob, stage: Stage, told: Battle) -> Battle:
    scope = context.scope(job.subject)
    try:
        with judging(lambda: scope):
            told = await checked(stage, told, context.evaluators)
    except UncheckedError as error:
        return told.model_copy(update={"status": "unscored", "error": str(error)})
    second = context.request.second_referee and job.confirms is None
    return await judged(context.llm, scope, stage, told, second=second)


async def _speak(context: BattleContext, job: BattleJob, stage: Stage, turns: list[Turn]) -> Turn:
    speaker = stage.speaker(turns)

    def said(answer: ChatAnswer) -> Turn:
        # A turn with nothing in it says why.
        why = answer.finish_reason or "no reason given"
        return make_turn(
            len(turns),
            speaker,
            answer.text if answer.text.strip() else f"(nothing was said: {why})",
            cost_usd=pico_to_usd(answer.cost_pico),
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            latency_ms=answer.latency_ms,
        )

    def keep(session: Any, answer: ChatAnswer) -> None:
        if speaker == "agent" or not answer.is_refused:
            store_turn(session, context.batch_id, job, said(answer))

    answer = await context.llm.chat(
        context.scope(job.subject),
        stage.next_request(turns),
        # What was paid for is held: no turn is bought twice after a kill.
        keep=keep,
    )
    if speaker == "persona":
        answer.require_said("The persona")
    return said(answer)


def _event(name: str, batch_id: str, battle: Battle, **facts: Any) -> NewEvent:
    payload = {"batch_id": batch_id, "battle_id": battle.id, "persona_id": battle.persona_id}
    if battle.confirms is not None:
        payload["confirms"] = battle.confirms
    return NewEvent("battle_batch", name, payload | facts, f"{name}:{battle.id}")


def _begin(session: Any, batch_id: str, battle: Battle) -> None:
    battles.update_battle(session, battle)
    facts = {"scenario_id": battle.scenario_id, "position": battle.position}
    events.create_event(session, batch_id, _event("battle_started", batch_id, battle, **facts))


def end_battle(session: Any, batch_id: str, battle: Battle) -> Battle:
    """Store a battle's end with its cost, its event and the batch's figures, all or nothing."""
    cost = ledger.read_run_cost_pico(session, batch_id, f"battle:{battle.id}")
    ended = battle.model_copy(
        update={"cost_usd": pico_to_usd(cost), "completed_at": datetime.now(UTC)}
    )
    battles.update_battle(session, ended)
    if ended.confirms is not None:
        battles.update_scouted(session, ended.id)  # it confirms a breakthrough and is none
    name = "battle_scored" if ended.status in ("scored", "unscored") else "battle_failed"
    shown = ended.model_dump(mode="json", exclude={"turns"})
    facts = {"scores": shown} if name == "battle_scored" else {"error": ended.error}
    events.create_event(
        session, batch_id, _event(name, batch_id, ended, status=ended.status, **facts)
    )
    _update_figures(session, batch_id)
    return ended


def _update_figures(session: Any, batch_id: str) -> None:
    """What watchers see of a batch while it goes on."""
    held = [b for b in battles.read_battles(session, batch_id=batch_id) if b.confirms is None]
    figures = batch_metrics(held)
    runs.update_run_metrics(
        session,
        batch_id,
        {
            "battles_total": len(held),
            "battles_done": sum(b.status not in ("pending", "running") for b in held),
            "battles_completed": figures.battles_completed,
            "average_score": figures.average_score,
            "errors": figures.errors,
            "cost_usd": pico_to_usd(ledger.read_run_cost_pico(session, batch_id)),
        },
    )
