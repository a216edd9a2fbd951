"""From a battle that went unusually well to the prompt that the next batch plays with."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from cornerman.domain.battles.breakthroughs import PromoteParameters
from cornerman.domain.errors import BadInputError
from cornerman.flows.promote import promote_breakthrough
from cornerman.storage import breakthroughs, checkpoints
from tests.support.battle_arena import Arena, tactic
from tests.support.llm_standin import Reply

TACTIC = "Name the price first and wait."


def review(arena: Arena, to: str = "reviewed") -> str:
    """Move the one breakthrough on; returns its id."""
    (found,) = arena.breakthroughs()
    with arena.db.writing() as session:
        breakthroughs.review_breakthrough(session, found.id, to, by="ann", reason="sound")
    return found.id


def best(arena: Arena) -> Any:
    with arena.db.reading() as session:
        return checkpoints.read_best_checkpoint(session, "lab")


async def promote(breakthrough_id: str, **fields: Any) -> dict[str, Any]:
    parameters = {"breakthrough_id": breakthrough_id, "by": "ann", **fields}
    return await promote_breakthrough(PromoteParameters.model_validate(parameters))


def teach(arena: Arena, gain: float) -> None:
    """The tactic in the agent's prompt is worth so many dollars; one persona pays in full."""

    def price(request: dict) -> float:
        persona = int(re.search(r"P(\d+) here", str(request["messages"]))[1])
        if persona == 0:
            return 200
        taught = TACTIC in request["messages"][0]["content"]
        return 120 + (gain + persona % 3 if taught and gain else 0)

    arena.script.price = price


async def test_a_breakthrough_keeps_its_tactic_and_the_turn_that_shows_it(arena: Arena) -> None:
    teach(arena, 0)
    result = await arena.batch(batch_size=2)
    (found,) = arena.breakthroughs()
    assert result["breakthroughs"] == 1
    assert (found.persona_id, found.score, found.status) == ("p0", 100, "pending_review")
    assert (found.tactic.tactic, found.tactic.defining_turn) == (TACTIC, 1)
    assert len(arena.events(result["batchId"], "breakthrough")) == 1


async def test_a_score_far_above_the_personas_own_history_is_one_too(arena: Arena) -> None:
    for price in (120, 121, 122, 160):
        arena.script.price = lambda request, price=price: price
        await arena.batch(batch_size=1, persona_ids=["p1"])
    (found,) = arena.breakthroughs()
    assert "above the mean of 3 earlier battles" in found.reason


async def test_the_same_tactic_seen_again_is_merged(arena: Arena) -> None:
    arena.script.price = lambda request: 200
    result = await arena.batch(batch_size=3)
    (found,) = arena.breakthroughs()
    assert len(found.merged_battle_ids) == 2
    assert result["breakthroughs"] == 1


async def test_a_tactic_that_nobody_can_name_is_kept_by_what_the_referee_saw(arena: Arena) -> None:
    arena.script.price = lambda request: 200
    arena.script.tactic = lambda: "It was good."
    await arena.batch(batch_size=1)
    (found,) = arena.breakthroughs()
    assert not found.tactic.named
    assert found.tactic.snippet == "I can do"
    with pytest.raises(BadInputError, match="could not name"):
        await promote(review(arena))


async def test_reruns_with_other_seeds_confirm(arena: Arena) -> None:
    teach(arena, 0)
    result = await arena.batch(batch_size=2)
    (found,) = arena.breakthroughs()
    reruns = [battle for battle in arena.battles() if battle.confirms == found.battle_id]
    assert (found.confirmed, found.confirming_scores) == (True, (100, 100))
    assert len({battle.seed for battle in reruns}) == 2
    assert (result["battlesCompleted"], len(result["battles"])) == (2, 2)
    assert result["metrics"]["reruns"] == 2
    assert result["totalCost"] * 10**12 == pytest.approx(arena.check_books())
    assert sum(b.cost_usd for b in reruns) > 0


async def test_reruns_that_do_worse_do_not_confirm(arena: Arena) -> None:
    prices = iter([200, 110, 110])
    arena.script.price = lambda request: next(prices)
    await arena.batch(batch_size=1)
    (found,) = arena.breakthroughs()
    assert (found.confirmed, found.confirming_scores) == (False, (10, 10))


async def test_no_rerun_when_none_is_wanted(arena: Arena) -> None:
    teach(arena, 0)
    result = await arena.batch(batch_size=1, confirm_breakthroughs=False)
    assert (result["breakthroughs"], result["metrics"]["reruns"]) == (1, 0)


async def test_no_rerun_without_the_money_for_it(arena: Arena) -> None:
    def dear_referee(request: dict, n: int) -> Reply | None:
        if request["model"] != "referee-m":
            return None
        return Reply(text=arena.script.answer(request), usage=(3_500, 1_000))

    arena.script.price = lambda request: 200
    arena.script.override = dear_referee
    result = await arena.batch(batch_size=1, batch_budget_usd=0.025)
    (found,) = arena.breakthroughs()
    assert (found.confirmed, result["metrics"]["reruns"]) == (None, 0)
    assert not arena.kill_switch().active


async def test_reviews_keep_who_decided_and_why(arena: Arena) -> None:
    teach(arena, 0)
    await arena.batch(batch_size=1)
    review(arena)
    (found,) = arena.breakthroughs()
    assert [(r.status, r.by, r.reason) for r in found.reviews] == [("reviewed", "ann", "sound")]
    with pytest.raises(BadInputError, match="can become promoted, rejected"):
        review(arena, "pending_review")
    with pytest.raises(BadInputError, match="not by hand"):
        review(arena, "promoted")


async def test_a_tactic_that_holds_up_becomes_the_agents_prompt(arena: Arena) -> None:
    teach(arena, 60)
    before = await arena.batch(batch_size=3)
    done = await promote(review(arena))
    assert (done["promoted"], done["status"]) == (True, "promoted"), done["reason"]
    assert re.match(r"better by \+6[012]\.\d points on 12 held-out personas", done["reason"])
    assert TACTIC in best(arena).prompts["system"].text
    assert best(arena).id == done["checkpoint_id"]
    asked = arena.server.total
    assert (await promote(done["breakthrough_id"]))["promoted"]
    assert arena.server.total == asked
    after = await arena.batch(batch_size=3, persona_ids=["p1", "p2", "p3"])
    assert (before["agentVersion"], after["agentVersion"]) == ("seed", "v2")
    assert after["averageScore"] == 81
    arena.check_books()


async def test_a_tactic_that_does_not_help_stays_reviewed_with_the_reason(arena: Arena) -> None:
    teach(arena, 0)
    await arena.batch(batch_size=1)
    done = await promote(review(arena))
    (found,) = arena.breakthroughs()
    assert (done["promoted"], found.status) == (False, "reviewed")
    assert "not surely better" in (found.last_trial or "")
    assert TACTIC not in best(arena).prompts["system"].text


async def test_a_trial_that_is_asked_for_again_pays_nothing_twice(arena: Arena) -> None:
    teach(arena, 0)
    await arena.batch(batch_size=1)
    first = await promote(review(arena))
    calls = arena.server.total
    (found,) = arena.breakthroughs()
    again = await promote(found.id)
    assert (again["reason"], arena.server.total) == (first["reason"], calls)


async def test_a_trial_stopped_by_its_budget_promotes_nothing(arena: Arena) -> None:
    teach(arena, 60)
    await arena.batch(batch_size=1)
    done = await promote(review(arena), max_cost_usd=0.01)
    assert (done["promoted"], done["stopped_by"]) == (False, "budget")
    assert "stopped by budget" in done["reason"]


async def test_only_a_reviewed_breakthrough_is_tried(arena: Arena) -> None:
    teach(arena, 60)
    await arena.batch(batch_size=1)
    with pytest.raises(BadInputError, match="only a reviewed one"):
        await promote(arena.breakthroughs()[0].id)


async def test_a_scout_takes_what_a_batch_left(arena: Arena) -> None:
    arena.script.price = lambda request: 200
    down = {"scout": True}

    def fail_in_scout(request: dict, n: int) -> Reply | None:
        asked = "tactic" in str(request.get("response_format"))
        return Reply(status=403, text="no") if asked and down["scout"] else None

    arena.script.override = fail_in_scout
    assert (await arena.batch(batch_size=1))["breakthroughs"] == 0
    down["scout"] = False
    result = await arena.scout()
    assert (result["processed"], len(result["breakthroughs"])) == (1, 1)
    assert (await arena.scout())["processed"] == 0


async def test_two_scouts_at_once_look_at_each_battle_once(arena: Arena) -> None:
    names = (f"Tactic {word} {word}ly" for word in ("red", "green", "blue", "brown", "pink"))
    arena.script.price = lambda request: 200
    arena.script.override = lambda request, n: (
        Reply(status=403) if "tactic" in str(request.get("response_format")) else None
    )
    await arena.batch(batch_size=5)
    arena.script.override = lambda request, n: None
    arena.script.tactic = lambda: tactic(next(names))
    arena.server.latency = 0.2
    code = (
        "import asyncio, json\n"
        "from cornerman.domain.battles.breakthroughs import ScoutParameters\n"
        "from cornerman.flows.scout import scout\n"
        "print(json.dumps(asyncio.run(scout(ScoutParameters.model_validate({})))))\n"
    )
    scouts = await asyncio.gather(arena.python(code), arena.python(code))
    said = [json.loads((await scout.communicate())[0]) for scout in scouts]
    assert sum(one["processed"] for one in said) == 5
    assert arena.calls(role="scout", outcome="ok") == 5
    assert len(arena.breakthroughs()) == 5
