"""A batch whose process is killed: what is kept, what goes on, and what stands in nobody's way."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from cornerman.domain.errors import ConflictError
from cornerman.storage.database.types import now
from cornerman.storage.tables import llm_calls, runs
from tests.support.battle_arena import Arena


def let_time_pass(arena: Arena, **age: float) -> None:
    """Make the process's last sign of life older, as waiting would."""
    long_ago = now() - timedelta(**age)
    with arena.db.writing() as session:
        session.execute(update(runs).values(heartbeat_at=long_ago, created_at=long_ago))
        session.execute(update(llm_calls).values(created_at=long_ago))


async def kill_in_the_middle(arena: Arena, **fields: object) -> None:
    """Start a batch of four, one at a time, and kill its process in the second battle."""
    arena.set(MAX_CONCURRENT_BATTLES=1)
    arena.server.latency = 0.15
    process = await arena.process(run_id="b1", batch_size=4, **fields)
    await arena.until(lambda: arena.server.total >= 6 or process.returncode is not None, seconds=90)
    assert process.returncode is None, (await process.communicate())[1].decode()
    process.kill()
    await process.wait()
    arena.server.latency = 0


async def test_a_killed_batch_goes_on_and_pays_nothing_twice(arena: Arena) -> None:
    await kill_in_the_middle(arena, batch_key="monday")
    kept = {battle.id: battle for battle in arena.battles("b1")}
    # What was paid for is held, at whatever line it was killed.
    paid = arena.calls(outcome="ok", role="agent") + arena.calls(outcome="ok", role="persona")
    assert paid == sum(len(battle.turns) for battle in kept.values())
    before, answered = arena.server.total, arena.calls(outcome="ok")
    let_time_pass(arena, seconds=25)
    result = await arena.batch(batch_key="monday", batch_size=4)
    assert (result["batchId"], result["battlesCompleted"]) == ("b1", 4)
    for battle in arena.battles("b1"):
        old = kept[battle.id]
        assert [t.text for t in battle.turns[: len(old.turns)]] == [t.text for t in old.turns]
        assert len(battle.turns) == 3
    # A whole batch is 16 calls; those that were answered before the kill are not made again.
    assert arena.server.total - before == 16 - answered
    assert result["totalCost"] * 10**12 == pytest.approx(arena.check_books())


async def test_what_was_in_flight_is_booked_and_the_log_has_no_gap_or_twin(arena: Arena) -> None:
    await kill_in_the_middle(arena)
    let_time_pass(arena, seconds=25)
    await arena.batch(run_id="b1", batch_size=4)
    assert arena.calls(outcome="unknown") == 1
    arena.check_books()
    log = arena.events("b1")
    assert [event.seq for event in log] == list(range(1, len(log) + 1))
    assert len([e for e in log if e.event == "battle_started"]) == 4
    assert len([e for e in log if e.event == "battle_turn"]) == 12


async def test_a_dead_batch_makes_room_and_can_still_be_continued(arena: Arena) -> None:
    await kill_in_the_middle(arena)
    with pytest.raises(ConflictError) as caught:
        await arena.batch(run_id="b2")
    assert caught.value.existing_id == "b1"
    let_time_pass(arena, seconds=25)
    assert (await arena.batch(run_id="b2", batch_size=1))["battlesCompleted"] == 1
    assert arena.run("b1").status == "failed"
    assert {b.status for b in arena.battles("b1")} == {"scored", "cancelled"}
    arena.check_books()
    assert (await arena.batch(run_id="b1", batch_size=4))["battlesCompleted"] == 4


async def test_a_batch_that_nobody_ever_took_makes_room(arena: Arena) -> None:
    from cornerman.storage.runs import create_run

    with arena.db.writing() as session:
        create_run(
            session,
            run_id="b0",
            kind="battle",
            workflow_id="lab",
            request={},
            random_state={},
            simulated=False,
        )
    with pytest.raises(ConflictError):
        await arena.batch(run_id="b1")
    let_time_pass(arena, minutes=16)
    assert (await arena.batch(run_id="b1", batch_size=1))["battlesCompleted"] == 1


async def test_a_continued_batch_plays_on_with_the_version_it_began_with(arena: Arena) -> None:
    from cornerman.domain.training.candidates import NewCheckpoint
    from cornerman.storage.checkpoints import create_checkpoint

    await kill_in_the_middle(arena)
    let_time_pass(arena, seconds=25)
    prompts = {"system": {"text": "You sell a chair, better.", "requires_grad": True}}
    better = NewCheckpoint(
        "c", "lab", {"prompts": prompts}, {"validation_score": 0.5}, {"run_id": "t"}
    )
    with arena.db.writing() as session:
        create_checkpoint(session, better)
    asked = len(arena.server.requests)
    result = await arena.batch(run_id="b1", batch_size=4)
    assert result["agentVersion"] == "seed"
    said = [r.body["messages"][0]["content"] for r in arena.server.requests[asked:]]
    assert not any("better" in text for text in said)
    assert (await arena.batch(run_id="b2", batch_size=1))["agentVersion"] == "v1"


async def test_runs_scheduled_in_one_millisecond_are_batches_of_their_own(arena: Arena) -> None:
    # Prefect's scheduler creates the runs of many slots at once, and their ids begin with the time.
    held = list[str]()
    for own in ("70bc-a540-afa5e477bcd7", "7a29-9841-582ecaf984d4"):
        arena.set(PREFECT__RUNTIME__FLOW_RUN__ID=f"01a214c5-6776-{own}")
        result = await arena.batch(batch_size=1)
        held.append(result["batchId"])
    assert held == ["batch-afa5e477bcd7", "batch-582ecaf984d4"]
    assert len(arena.battles()) == 2
