"""One battle: a conversation, turn by turn into the database, then the referee."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from cornerman.clients.chat_json import chat_json
from cornerman.clients.llm import ChatRequest
from cornerman.domain.battles import Battle, Speaker, Turn
from cornerman.domain.conversation import (
    agent_messages,
    end_reason,
    make_turn,
    next_speaker,
    persona_messages,
)
from cornerman.domain.errors import LLMError, StopError
from cornerman.domain.money import pico_to_usd
from cornerman.domain.negotiation import agreed_price, negotiation_outcome
from cornerman.domain.referee import (
    Verdict,
    combine,
    parse_verdict,
    referee_messages,
    verdict_response_format,
)
from cornerman.domain.runs import NewEvent
from storage import battles, events, ledger
from tasks.battle_context import BattleContext, BattleJob

PERSONA_TEMPERATURE = 0.8
REFEREE_MAX_TOKENS = 1_200
TURN_TIMEOUT_SECONDS = 30.0
REFEREE_TIMEOUT_SECONDS = 45.0


@task(name="battle", tags=["battle"], cache_policy=NO_CACHE, persist_result=False)
async def run_battle(context: BattleContext, job: BattleJob) -> Battle:
    """Hold one battle to its end and have it judged; go on where a killed process left it.

    A model that cannot be reached makes the battle `failed`, with its error; that is a result.

    Raises:
        StopError: The batch must start no more work.
    """
    context.check()
    stored = await context.db.read(battles.read_battle, job.battle_id)
    assert stored is not None, "battles are stored before they are held"
    if stored.status in ("scored", "unscored", "failed"):
        return stored
    battle = stored.model_copy(
        update={"status": "running", "started_at": stored.started_at or datetime.now(UTC)}
    )
    await context.db.write(_begin, context.batch_id, battle)
    try:
        turns = await _converse(context, job, list(stored.turns))
        ended = end_reason(turns, job.scenario, _limits(context))
        battle = battle.model_copy(update={"turns": tuple(turns), "ended_by": ended})
        battle = await _judge(context, job, battle)
    except StopError as stop:
        context.stop(stop)
        raise
    except LLMError as error:
        failed = {"status": "failed", "error": f"{error.kind}: {error.message}"}
        battle = battle.model_copy(update=failed)
    return await finish_battle(context, battle)


def _limits(context: BattleContext) -> Any:
    limits = context.workflow.limits
    return limits.model_copy(update={"turn_limit": context.request.turn_limit})


async def _converse(context: BattleContext, job: BattleJob, turns: list[Turn]) -> list[Turn]:
    limits = _limits(context)
    while end_reason(turns, job.scenario, limits) is None:
        context.check()
        speaker = next_speaker(turns, context.workflow.first_speaker)
        turn = await _speak(context, job, turns, speaker)
        await context.db.write(_store_turn, context.batch_id, job, turn)
        turns.append(turn)
    return turns


async def _speak(
    context: BattleContext, job: BattleJob, turns: list[Turn], speaker: Speaker
) -> Turn:
    limits, settings = context.workflow.limits, context.settings
    seed = context.seed(job.seed, job.persona.id, len(turns))
    if speaker == "agent":
        prompt = context.prompt
        messages = agent_messages(prompt.text, job.scenario, turns, limits.prompt_chars)
        extra = dict(prompt.model_kwargs)
        model, temperature = prompt.model or settings.model_for("agent"), 0.0
    else:
        messages = persona_messages(job.persona, job.scenario, turns, limits.prompt_chars)
        extra, model, temperature = {}, settings.model_for("persona"), PERSONA_TEMPERATURE
    request = ChatRequest(
        role=speaker,
        model=model,
        messages=tuple(dict(message) for message in messages),
        max_tokens=limits.turn_max_tokens,
        temperature=temperature,
        seed=seed if temperature or extra.get("temperature") else None,
        extra=extra,
        timeout_seconds=TURN_TIMEOUT_SECONDS,
    )
    answer = await context.llm.chat(context.scope(job.subject), request)
    return make_turn(
        len(turns),
        speaker,
        answer.text,
        cost_usd=pico_to_usd(answer.cost_pico),
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        latency_ms=answer.latency_ms,
    )


async def _judge(context: BattleContext, job: BattleJob, battle: Battle) -> Battle:
    verdict = await ask_referee(context, job, battle.turns, number=1)
    spread = None
    if verdict is not None and context.request.second_referee:
        second = await ask_referee(context, job, battle.turns, number=2)
        spread = None if second is None else abs(verdict.score - second.score)
    targets = job.scenario.price_targets
    outcome = None if targets is None else negotiation_outcome(targets, agreed_price(battle.turns))
    judged = combine(verdict, outcome)
    return battle.model_copy(
        update={**dict(judged), "referee_spread": spread, "error": _unscored_why(judged.status)}
    )


def _unscored_why(status: str) -> str | None:
    if status == "scored":
        return None
    return "The referee's answer could not be used, after one repair attempt."


async def ask_referee(
    context: BattleContext, job: BattleJob, turns: tuple[Turn, ...], *, number: int
) -> Verdict | None:
    """One referee's verdict; None when its answer cannot be used, after one repair.

    Args:
        number: The second referee sees the sides in the other order and another seed.
    """
    rubric = context.workflow.rubric
    messages = referee_messages(
        rubric,
        job.scenario,
        turns,
        order_seed=context.seed(job.seed, "order", job.persona.id) + number - 1,
        persona=job.persona,
    )
    request = ChatRequest(
        role="referee",
        model=context.settings.model_for("referee"),
        messages=tuple(dict(message) for message in messages),
        max_tokens=REFEREE_MAX_TOKENS,
        temperature=0.0 if number == 1 else 0.5,
        seed=None if number == 1 else context.seed(job.seed, "second", job.persona.id),
        response_format=verdict_response_format(rubric),
        timeout_seconds=REFEREE_TIMEOUT_SECONDS,
    )

    def read(text: str) -> Verdict:
        try:
            return parse_verdict(text, turns, rubric)
        except LLMError as error:  # what is wrong, for the repair
            raise ValueError(error.message) from error

    return await chat_json(context.llm, context.scope(job.subject), request, read)


async def finish_battle(context: BattleContext, battle: Battle) -> Battle:
    """Store a battle's end with its cost and its event, in one transaction."""
    return await context.db.write(_finish, context.batch_id, battle)


def _event(name: str, batch_id: str, battle: Battle, **facts: Any) -> NewEvent:
    payload = {"batch_id": batch_id, "battle_id": battle.id, "persona_id": battle.persona_id}
    return NewEvent("battle_batch", name, payload | facts, f"{name}:{battle.id}")


def _begin(session: Any, batch_id: str, battle: Battle) -> None:
    battles.update_battle(session, battle)
    facts = {"scenario_id": battle.scenario_id, "position": battle.position}
    events.create_event(session, batch_id, _event("battle_started", batch_id, battle, **facts))


def _store_turn(session: Any, batch_id: str, job: BattleJob, turn: Turn) -> None:
    battles.create_turn(session, job.battle_id, turn)
    payload = {
        "batch_id": batch_id,
        "battle_id": job.battle_id,
        "persona_id": job.persona.id,
        "turn": turn.model_dump(mode="json"),
    }
    key = f"battle_turn:{job.battle_id}/{turn.index}"
    events.create_event(session, batch_id, NewEvent("battle_batch", "battle_turn", payload, key))


def _finish(session: Any, batch_id: str, battle: Battle) -> Battle:
    cost = ledger.read_run_cost_pico(session, batch_id, f"battle:{battle.id}")
    ended = battle.model_copy(
        update={"cost_usd": pico_to_usd(cost), "completed_at": datetime.now(UTC)}
    )
    battles.update_battle(session, ended)
    shown = ended.model_dump(mode="json", exclude={"turns"})
    name = "battle_scored" if ended.status in ("scored", "unscored") else "battle_failed"
    facts = {"scores": shown} if name == "battle_scored" else {"error": ended.error}
    events.create_event(
        session, batch_id, _event(name, batch_id, ended, status=ended.status, **facts)
    )
    return ended
