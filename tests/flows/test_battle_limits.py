"""How many battles at once, how far apart, for how long, and one batch at a time."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest

from cornerman.domain.errors import ConflictError
from cornerman.storage import runs
from tests.support.battle_arena import Arena
from tests.support.llm_standin import Reply


async def test_holds_three_at_once_and_never_more(arena: Arena) -> None:
    arena.server.latency = 0.1
    await arena.batch(batch_size=7)
    assert arena.server.max_in_flight == 3


async def test_holds_as_many_at_once_as_the_settings_say(arena: Arena) -> None:
    arena.set(MAX_CONCURRENT_BATTLES=1)
    arena.server.latency = 0.02
    await arena.batch(batch_size=3)
    assert arena.server.max_in_flight == 1


async def test_starts_are_apart_by_the_delay(arena: Arena) -> None:
    arena.set(DELAY_BETWEEN_BATTLES_MS=300)
    result = await arena.batch(batch_size=4)
    began = [e.created_at for e in arena.events(result["batchId"], "battle_started")]
    apart = [(b - a).total_seconds() for a, b in itertools.pairwise(began)]
    assert len(apart) == 3
    assert min(apart) > 0.25


async def test_time_limit_cancels_what_runs_and_counts_what_ended(arena: Arena) -> None:
    def hang_for_two(request: dict, n: int) -> Reply | None:
        said = str(request["messages"])
        return Reply(hang=True) if "P2" in said or "P3" in said else None

    arena.script.override = hang_for_two
    result = await arena.batch(
        batch_size=4, time_limit_ms=4_000, persona_ids=["p0", "p1", "p2", "p3"]
    )
    statuses = [battle["status"] for battle in result["battles"]]
    assert (result["stoppedBy"], result["battlesCompleted"]) == ("timeout", 2)
    assert statuses == ["scored", "scored", "cancelled", "cancelled"]
    assert arena.run(result["batchId"]).status == "stopped"
    arena.check_books()


async def test_the_whole_call_ends_soon_after_the_time_limit(arena: Arena) -> None:
    arena.script.override = lambda request, n: Reply(hang=True)
    began = time.monotonic()
    result = await arena.batch(batch_size=5, time_limit_ms=1_000)
    assert time.monotonic() - began < 5
    assert [b["status"] for b in result["battles"]] == ["cancelled"] * 5
    errors = {battle.error for battle in arena.battles()}
    assert errors == {"The time limit of 1 s has passed."}


async def test_a_cancelled_call_is_charged(arena: Arena) -> None:
    arena.script.override = lambda request, n: Reply(hang=True)
    result = await arena.batch(batch_size=1, time_limit_ms=4_000)
    assert result["totalCost"] > 0
    assert result["battles"][0]["cost_usd"] == result["totalCost"]
    assert arena.calls(outcome="cancelled") == 1


async def test_a_scout_that_hangs_holds_nobody_up(arena: Arena) -> None:
    arena.script.price = lambda request: 200
    asked: list[bool] = []

    def hang_in_scout(request: dict, n: int) -> Reply | None:
        tactic = "tactic" in str(request.get("response_format"))
        asked.append(tactic)
        return Reply(hang=True) if tactic else None

    arena.script.override = hang_in_scout
    began = time.monotonic()
    result = await arena.batch(batch_size=1, time_limit_ms=3_000)
    assert time.monotonic() - began < 12
    assert any(asked)
    assert (result["battlesCompleted"], result["stoppedBy"]) == (1, None)
    arena.check_books()


async def test_cancels_within_two_seconds(arena: Arena) -> None:
    arena.script.override = lambda request, n: Reply(hang=True)
    batch = asyncio.ensure_future(arena.batch(run_id="b1", batch_size=3))
    await arena.until(lambda: arena.server.total >= 3)
    asked = time.monotonic()
    with arena.db.writing() as session:
        runs.request_cancel(session, "b1")
    result = await batch
    assert time.monotonic() - asked < 3.5  # the run's row says so within two
    assert result["stoppedBy"] == "cancelled"
    assert arena.run("b1").status == "cancelled"


async def test_refuses_a_batch_beside_another(arena: Arena) -> None:
    arena.server.latency = 0.3
    first = asyncio.ensure_future(arena.batch(run_id="b1", batch_size=2))
    await arena.until(lambda: arena.server.total > 0)
    with pytest.raises(ConflictError) as caught:
        await arena.batch(run_id="b2")
    assert caught.value.existing_id == "b1"
    await first


async def test_the_same_key_gives_the_same_batch(arena: Arena) -> None:
    first = await arena.batch(batch_key="monday", batch_size=2)
    calls = arena.server.total
    again = await arena.batch(batch_key="monday", batch_size=2)
    assert again == first
    assert arena.server.total == calls


async def test_the_same_key_gives_its_batch_also_while_the_kill_switch_is_on(arena: Arena) -> None:
    first = await arena.batch(batch_key="monday", batch_size=1)
    arena.turn_kill_switch(active=True)
    assert await arena.batch(batch_key="monday", batch_size=1) == first


async def test_the_maximum_batch_size_holds(arena: Arena) -> None:
    from cornerman.domain.errors import BadInputError

    arena.set(MAX_TRAINING_BATCH_SIZE=3)
    with pytest.raises(BadInputError, match="1 to 3"):
        await arena.batch(batch_size=4)
