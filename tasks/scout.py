"""The scout: looks at each scored battle once and keeps the tactics of breakthroughs."""

from __future__ import annotations

import uuid
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from cornerman.clients.chat_json import chat_json
from cornerman.clients.llm import LLM, ChatRequest
from cornerman.domain.battles import Battle
from cornerman.domain.battles.breakthroughs import (
    Breakthrough,
    Tactic,
    find_duplicate,
    is_breakthrough,
    observed_tactic,
    parse_tactic,
    scout_messages,
    tactic_response_format,
)
from cornerman.domain.errors import LLMError
from cornerman.domain.money.ledger import CallScope
from cornerman.domain.runs import NewEvent
from cornerman.settings import Settings
from cornerman.storage import battles, breakthroughs, events, slots
from cornerman.storage.database import Database

SCOUT_MAX_TOKENS = 500
# Longer than a look with all its retries takes; whoever dies meanwhile holds nobody up for long.
_LEASE_SECONDS = 180.0
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


class Look:
    """What came of looking at one battle.

    Args:
        processed: Whether it was looked at now; another scout may have it, or its model failed.
        found: The breakthrough that it is, if it is a new one.
    """

    def __init__(self, *, processed: bool, found: Breakthrough | None = None) -> None:
        self.processed = processed
        self.found = found


@task(name="scout-battle", cache_policy=NO_CACHE, persist_result=False)
async def scout_battle(context: ScoutContext, battle_id: str) -> Look:
    """Look at one battle, unless another scout has done so or is at it.

    Raises:
        StopError: No more money may be spent; the battle stays to be looked at.
    """
    name, holder = f"scout:{battle_id}", f"{context.run_id}:{uuid.uuid4().hex[:8]}"
    if not await context.db.write(_take, name, holder, battle_id):
        return Look(processed=False)
    try:
        return await _look(context, battle_id)
    finally:
        await context.db.write(slots.delete_lease, name, holder)


def _take(session: Any, name: str, holder: str, battle_id: str) -> bool:
    if battles.is_scouted(session, battle_id):
        return False
    return slots.acquire_lease(session, name, holder, ttl_seconds=_LEASE_SECONDS) is None


async def _look(context: ScoutContext, battle_id: str) -> Look:
    held = await context.db.read(battles.read_battle, battle_id)
    assert held is not None, "only stored battles are scouted"
    earlier = await context.db.read(battles.read_earlier_scores, held)
    counts = held.rated and held.confirms is None
    reason = is_breakthrough(held.score if counts else None, earlier)
    tactic = None
    if reason is not None:
        try:
            tactic = await _extract(context, held, reason) or observed_tactic(held)
        except LLMError:
            return Look(processed=False)  # not marked, so the next scout tries again
    found = await context.db.write(_keep, context.run_id, held, reason, tactic)
    return Look(processed=True, found=found)


async def _extract(context: ScoutContext, battle: Battle, reason: str) -> Tactic | None:
    setting = await context.db.read(battles.read_setting, battle.id)
    assert setting is not None, "every battle is stored with its setting"
    request = ChatRequest(
        role="scout",
        model=context.settings.model_for("scout"),
        messages=tuple(dict(m) for m in scout_messages(setting[1], battle.turns, reason)),
        max_tokens=SCOUT_MAX_TOKENS,
        response_format=tactic_response_format(),
    )

    def read(text: str) -> Tactic:
        try:
            return parse_tactic(text, battle.turns)
        except LLMError as error:
            raise ValueError(error.message) from error

    return await chat_json(context.llm, context.scope, request, read)


def _keep(
    session: Any, run_id: str, battle: Battle, reason: str | None, tactic: Tactic | None
) -> Breakthrough | None:
    if not battles.update_scouted(session, battle.id) or reason is None or tactic is None:
        return None
    known = breakthroughs.read_breakthroughs(session, workflow_id=battle.workflow_id)
    same = find_duplicate(tactic, (k for k in known if k.simulated == battle.simulated))
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
    # In the log of whoever found it; the batch that it is from may have ended long ago.
    event = NewEvent(
        "battle_batch", "breakthrough", found.model_dump(mode="json"), f"breakthrough:{found.id}"
    )
    events.create_event(session, run_id, event)
    return found
