"""A battle batch from outside: what it answers, stores, tells watchers and keeps to."""

from __future__ import annotations

import pytest

from cornerman.domain.errors import BadInputError, NotFoundError
from tests.support.battle_arena import Arena, verdict


async def test_answers_with_the_batch_object(arena: Arena) -> None:
    result = await arena.batch(batch_size=3)
    assert result["battlesCompleted"] == 3
    assert result["averageScore"] == 50  # computed from the price, not the referee's 60
    assert result["totalCost"] * 10**12 == pytest.approx(arena.check_books())
    assert (result["stoppedBy"], result["errors"], result["breakthroughs"]) == (None, [], 0)
    assert [b["ended_by"] for b in result["battles"]] == ["goal_reached"] * 3
    assert set(result["battles"][0]) == {
        *("id", "persona_id", "status", "score", "ended_by", "cost_usd")
    }
    assert arena.run(result["batchId"]).status == "completed"


async def test_writes_what_happens_as_it_happens(arena: Arena) -> None:
    result = await arena.batch(batch_size=1)
    names = [event.event for event in arena.events(result["batchId"])]
    assert names == [
        *("battle_started", "battle_turn", "battle_turn", "battle_turn"),
        *("battle_scored", "batch_complete"),
    ]
    assert [e.seq for e in arena.events(result["batchId"])] == [1, 2, 3, 4, 5, 6]


async def test_battles_cost_what_their_calls_cost(arena: Arena) -> None:
    result = await arena.batch(batch_size=4)
    total = sum(battle["cost_usd"] for battle in result["battles"])
    assert total == pytest.approx(result["totalCost"])
    assert arena.calls(role="referee") == 4


async def test_watchers_see_figures_while_the_batch_goes_on(arena: Arena) -> None:
    result = await arena.batch(batch_size=2)
    metrics = arena.run(result["batchId"]).metrics
    assert (metrics["battles_done"], metrics["battles_total"]) == (2, 2)
    assert metrics["average_score"] == 50
    assert metrics["cost_usd"] == pytest.approx(result["totalCost"])


async def test_meets_the_least_recently_met(arena: Arena) -> None:
    first = await arena.batch(batch_size=5)
    second = await arena.batch(batch_size=5)
    met = [b["persona_id"] for b in (*first["battles"], *second["battles"])]
    assert len(set(met)) == 10
    assert arena.run(second["batchId"]).metrics["policy"] == "rotate"


async def test_meets_the_hardest(arena: Arena) -> None:
    arena.script.price = lambda request: 110 if "P7 here" in str(request["messages"]) else 150
    await arena.batch(batch_size=10, persona_ids=[f"p{n}" for n in range(10)])
    chosen = await arena.batch(batch_size=1, policy="hardest")
    assert chosen["battles"][0]["persona_id"] == "p7"


async def test_both_sides_see_the_whole_history(arena: Arena) -> None:
    await arena.batch(batch_size=1)
    last = [r.body for r in arena.server.requests if r.body["model"] == "persona-m"][-1]
    said = [m["content"] for m in last["messages"][1:]]
    assert said == ["(The conversation begins.)", "P0 here. I offer $100.", "I can do $150."]


async def test_same_seed_gives_same_seeds_and_the_next_meeting_others(arena: Arena) -> None:
    first = await arena.batch(batch_size=1, persona_ids=["p1"], seed=5)
    second = await arena.batch(batch_size=1, persona_ids=["p1"], seed=5)
    one, two = (arena.battles(batch["batchId"])[0] for batch in (first, second))
    assert one.seed != two.seed


async def test_unscored_is_never_zero(arena: Arena) -> None:
    arena.script.referee = lambda request: "I like the seller."
    result = await arena.batch(batch_size=2)
    assert [b["status"] for b in result["battles"]] == ["unscored"] * 2
    assert result["averageScore"] is None
    assert result["battlesCompleted"] == 2
    assert arena.calls(role="referee") == 4  # one repair each


async def test_an_answer_in_a_wrong_shape_is_repaired_once(arena: Arena) -> None:
    def referee(request: dict) -> str:
        repaired = "could not be used" in request["messages"][-1]["content"]
        return verdict(70) if repaired else '{"score": 700}'

    arena.script.referee = referee
    result = await arena.batch(batch_size=1)
    assert result["battles"][0]["status"] == "scored"


async def test_a_spoiled_battle_is_left_out_of_the_mean(arena: Arena) -> None:
    def referee(request: dict) -> str:
        spoiled = "P0" in request["messages"][1]["content"]
        return verdict(fidelity=0.1 if spoiled else 0.9)

    arena.script.referee = referee
    arena.script.price = lambda request: 150
    result = await arena.batch(batch_size=2, persona_ids=["p0", "p1"])
    held = {battle.persona_id: battle for battle in arena.battles()}
    assert (held["p0"].spoiled, held["p1"].spoiled) == (True, False)
    assert result["metrics"]["spoiled"] == 1
    assert result["averageScore"] == held["p1"].score


async def test_a_second_referee_tells_the_agreement(arena: Arena) -> None:
    arena.script.referee = lambda request: verdict(60 if request["temperature"] == 0 else 80)
    result = await arena.batch(batch_size=2, second_referee=True)
    assert [b.referee_spread for b in arena.battles()] == [20, 20]
    assert arena.battles()[0].judged_scores == (60, 80)
    agreed = result["metrics"]["referee_agreement"]
    assert (agreed["n"], agreed["mean_difference"], agreed["within_10"]) == (2, 20, 0)


async def test_the_second_referee_sees_the_sides_the_other_way(arena: Arena) -> None:
    await arena.batch(batch_size=1, second_referee=True)
    asked = [r.body for r in arena.server.requests if r.body["model"] == "referee-m"]
    first, second = ("Side A is the seller" in a["messages"][1]["content"] for a in asked)
    assert first != second


async def test_no_active_personas_says_what_to_type(arena: Arena) -> None:
    from cornerman.storage.personas import update_persona_active

    with arena.db.writing() as session:
        for n in range(14):
            update_persona_active(session, "lab", f"p{n}", active=False)
    with pytest.raises(NotFoundError, match="No active personas found") as caught:
        await arena.batch()
    assert "cornerman personas on ID --workflow lab" in caught.value.hint
    assert "cornerman personas import FILE --workflow lab" in caught.value.hint


async def test_names_an_unknown_persona(arena: Arena) -> None:
    with pytest.raises(BadInputError, match="'nobody'"):
        await arena.batch(persona_ids=["nobody"])


async def test_names_an_unknown_workflow(arena: Arena) -> None:
    with pytest.raises(NotFoundError, match="'elsewhere'"):
        await arena.batch(workflow_id="elsewhere")
    assert arena.server.total == 0


async def test_ratings_are_stored_after_each_batch(arena: Arena) -> None:
    from cornerman.storage.ratings import read_ratings

    result = await arena.batch(batch_size=3)
    with arena.db.reading() as session:
        rated = read_ratings(session, "lab", batch_id=result["batchId"])
    assert {(r.kind, r.battles) for r in rated} == {("agent", 3), ("persona", 1)}
    assert all(r.low <= r.rating <= r.high for r in rated)
