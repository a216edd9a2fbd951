"""Battles of imported people in real second-hand listings: what a deal is worth is computed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cornerman.domain.personas import Persona
from cornerman.domain.personas.files import parse_personas_file
from cornerman.storage.battles import read_setting
from cornerman.storage.personas import create_personas
from tests.support.battle_arena import Arena

SIMULATED = dict.fromkeys(
    ("OPENAI_BASE_URL", "OPENAI_API_KEY", "AGENT_MODEL", "PERSONA_MODEL", "REFEREE_MODEL")
)


def one_for_each_scenario(people: list[Persona]) -> list[str]:
    chosen = {p.scenario.id: p.id for p in reversed(people) if p.scenario is not None}
    return list(chosen.values())


@pytest.mark.needs_shared_data
async def test_the_ten_bargains_are_scored_by_price_and_both_targets(
    arena: Arena, shared_data: Path
) -> None:
    people = parse_personas_file(shared_data / "sotopia" / "agent_profiles.jsonl")
    with arena.db.writing() as session:
        create_personas(session, people)
    arena.set(**SIMULATED, REHEARSAL_LATENCY_MS=0)
    ids = one_for_each_scenario(people)
    result = await arena.batch(workflow_id="negotiation", batch_size=10, persona_ids=ids)
    assert (len(ids), result["battlesCompleted"], result["simulated"]) == (10, 10, True)
    deals = 0
    for battle in arena.battles(result["batchId"]):
        with arena.db.reading() as session:
            setting = read_setting(session, battle.id)
        assert setting is not None and setting[1].price_targets is not None
        assert battle.outcome is not None
        targets, price = setting[1].price_targets, battle.outcome.agreed_price
        low = min(targets.buyer_target, targets.seller_target)
        high = max(targets.buyer_target, targets.seller_target)
        share = 0 if price is None else min(1, max(0, (price - low) / (high - low)))
        assert battle.score == pytest.approx(100 * share)
        deals += price is not None
    assert deals >= 3
    arena.check_books()
