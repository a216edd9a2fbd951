"""The scout: looks at each scored battle once and keeps the tactics of breakthroughs."""

from __future__ import annotations

import uuid
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from cornerman.clients.chat_json import chat_json
from cornerman.clients.llm import LLM, ChatRequest
from cornerman.domain.battles import Battle
from cornerman.domain.breakthroughs import (
    Breakthrough,
    Tactic,
    find_duplicate,
    is_breakthrough,
    parse_tactic,
    scout_messages,
    tactic_response_format,
)
from cornerman.domain.errors import LLMError
from cornerman.domain.ledger import CallScope
from cornerman.domain.personas import Scenario
from cornerman.domain.runs import NewEvent
from cornerman.settings import Settings
from storage import battles, breakthroughs, events
from storage.engine import Database

SCOUT_MAX_TOKENS = 500
_IDS = uuid.UUID("b3f4c0b6-2a7e-5c5d-9a60-6f9a50b0e7d2")


class ScoutContext:
    """What scouting needs; opaque to Prefect."""

    def __init__(
        self, db: Database, llm: LLM, settings: Settings, scope: CallScope, run_id: str
    ) -> None:
        self.db = db
        self.llm = llm
        self.settings = settings
        self.scope = scope
        self.run_id = run_id


@task(name="scout-battle", cache_policy=NO_CACHE, persist_result=False)
async def scout_battle(context: ScoutContext, battle_id: str) -> Breakthrough | None:
    """Look at one battle; return the breakthrough that it is, if it is a new one.

    Raises:
        StopError: No more money may be spent; the battle stays to be looked at.
    """
    held = await context.db.read(battles.read_battle, battle_id)
    assert held is not None, "only stored battles are scouted"
    earlier = await context.db.read(_earlier_scores, held)
    reason = is_breakthrough(held.score if held.rated else None, earlier)
    tactic = None
    if reason is not None:
        try:
            tactic = await _extract(context, held, reason)
        except LLMError:
            return None  # not marked, so the next scout tries again
    return await context.db.write(_keep, context.run_id, held, reason, tactic)


def _earlier_scores(session: Any, battle: Battle) -> list[float]:
    scores: list[float] = []
    for other in battles.read_battles(session, workflow_id=battle.workflow_id):
        if other.id == battle.id:
            break
        if other.persona_id == battle.persona_id and other.rated and other.score is not None:
            scores.append(other.score)
    return scores


async def _extract(context: ScoutContext, battle: Battle, reason: str) -> Tactic | None:
    scenario = await context.db.read(_scenario, battle)
    request = ChatRequest(
        role="scout",
        model=context.settings.model_for("scout"),
        messages=tuple(dict(m) for m in scout_messages(scenario, battle.turns, reason)),
        max_tokens=SCOUT_MAX_TOKENS,
        response_format=tactic_response_format(),
    )

    def read(text: str) -> Tactic:
        try:
            return parse_tactic(text, battle.turns)
        except LLMError as error:
            raise ValueError(error.message) from error

    return await chat_json(context.llm, context.scope, request, read)


def _scenario(session: Any, battle: Battle) -> Scenario:
    stored = battles.read_setting(session, battle.id)
    assert stored is not None, "every battle is stored with its setting"
    return stored[1]


def _keep(
    session: Any, run_id: str, battle: Battle, reason: str | None, tactic: Tactic | None
) -> Breakthrough | None:
    if not battles.update_scouted(session, battle.id) or reason is None or tactic is None:
        return None
    known = breakthroughs.read_breakthroughs(session, workflow_id=battle.workflow_id)
    same = find_duplicate(tactic, known)
    if same is not None:
        merged = (*same.merged_battle_ids, battle.id)
        breakthroughs.update_breakthrough(
            session, same.model_copy(update={"merged_battle_ids": merged})
        )
        return None
    found = Breakthrough(
        id=str(uuid.uuid5(_IDS, battle.id)),
        battle_id=battle.id,
        batch_id=battle.batch_id,
        workflow_id=battle.workflow_id,
        persona_id=battle.persona_id,
        agent_version=battle.agent_version,
        score=battle.score or 0.0,
        reason=reason,
        tactic=tactic,
        simulated=battle.simulated,
    )
    breakthroughs.create_breakthrough(session, found)
    event = NewEvent(
        "battle_batch", "breakthrough", found.model_dump(mode="json"), f"breakthrough:{found.id}"
    )
    events.create_event(session, run_id, event)
    return found
