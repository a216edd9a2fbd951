"""What ends a run early: its own stops, the kill-switch, somebody who cancels it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from cornerman.domain.errors import ConflictError
from cornerman.storage import budgets, runs
from tests.support.llm_standin import LLMStandin, Reply
from tests.support.training import CLIMBING_AGENT, World, climb, is_optimizer, request_of

RESERVED = "SELECT * FROM llm_calls WHERE status = 'reserved'"
NO_IMPROVEMENT = "async def agent(inputs, prompts, context): return 'no' + prompts['system'][:0]"


async def test_a_target_score_stops_early(world: World) -> None:
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        optimizer = {"epochs": 10, "target_score": 0.75}
        result = await world.train(request_of(4, optimizer=optimizer))
    assert (result["status"], result["stopped_by"]) == ("completed", "target_score")
    assert [p["epoch"] for p in world.payloads("training_epoch_complete")] == [1, 2, 3]


async def test_patience_stops_after_epochs_without_improvement(world: World) -> None:
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        optimizer = {"epochs": 10, "patience": 2, "checkpoint_interval": 9}
        agent = world.agent(NO_IMPROVEMENT)
        result = await world.train(request_of(4, graph_config=agent, optimizer=optimizer))
    assert result["stopped_by"] == "patience"
    assert [p["epoch"] for p in world.payloads("training_epoch_complete")] == [1, 2, 3]


async def test_max_seconds_starts_no_more_work(world: World) -> None:
    agent = world.agent(
        "import time\ndef agent(inputs, prompts, context): time.sleep(0.3); return 'no'"
    )
    optimizer = {"max_seconds": 6, "max_concurrency": 1}
    began = time.monotonic()
    result = await world.train(request_of(60, graph_config=agent, optimizer=optimizer))
    assert result["stopped_by"] == "max_seconds"
    assert 0 < result["cases"]["scored"] < 24
    assert time.monotonic() - began < 15


async def _soon(world: World, server: LLMStandin, requests: int = 2) -> None:
    """Wait until the run has calls in flight."""
    while server.in_flight < requests:
        await asyncio.sleep(0.02)


def _turn_switch(world: World, active: bool) -> None:
    with world.db.writing() as session:
        budgets.create_kill_switch_state(session, active=active, reason="odd bills", by="me")


async def test_the_kill_switch_stops_a_run_within_a_second(world: World) -> None:
    async with LLMStandin(climb, latency=0.1) as server:
        world.use_model(server.base_url)
        request = request_of(100, optimizer={"max_concurrency": 2})
        work = asyncio.create_task(world.train(request))
        await _soon(world, server)
        _turn_switch(world, True)
        turned = time.monotonic()
        result = await work
        assert server.requests[-1].at - turned < 1.0
        assert (result["status"], result["stopped_by"]) == ("stopped", "kill_switch")

        before = server.total
        again = await world.train(request)
        assert (again["stopped_by"], server.total) == ("kill_switch", before)
        _turn_switch(world, False)
        done = await world.train(request | {"optimizer": request["optimizer"]})
    assert (done["status"], done["cases"]["scored"]) == ("completed", 100)
    paid = world.rows("SELECT subject FROM llm_calls WHERE outcome = 'ok'")
    assert len(paid) == len({row["subject"] for row in paid}) == 100


def _hang_from(first: int) -> Any:
    def script(request: dict[str, Any], n: int) -> Reply:
        return Reply(hang=True) if first <= n < first + 4 else climb(request, n)

    return script


async def test_cancelling_ends_calls_in_flight_and_the_run_can_be_resumed(world: World) -> None:
    async with LLMStandin(_hang_from(5)) as server:
        world.use_model(server.base_url)
        request = request_of(12, optimizer={"max_concurrency": 4, "epochs": 2})
        work = asyncio.create_task(world.train(request))
        while server.in_flight < 4:
            await asyncio.sleep(0.02)
        with world.db.writing() as session:
            runs.request_cancel(session, "r1")
        asked = time.monotonic()
        while server.in_flight:
            await asyncio.sleep(0.02)
        assert time.monotonic() - asked < 2.0
        result = await work
        assert time.monotonic() - asked < 4.0
        assert (result["status"], result["stopped_by"]) == ("cancelled", "cancelled")
        assert world.run().status == "cancelled" and world.run().owner is None
        assert world.rows(RESERVED) == []
        assert world.events()[-1].event == "training_result"

        done = await world.train(request)
    assert done["status"] == "completed" and done["cases"]["errored"] == 0
    rows = world.rows("SELECT * FROM case_results WHERE candidate_id = 'c0'")
    assert len(rows) == 12
    spent = world.rows("SELECT SUM(cost_pico) AS cost FROM llm_calls")[0]["cost"]
    budget = world.rows("SELECT * FROM budgets WHERE name = 'run:r1'")[0]
    assert (budget["spent_pico"], budget["reserved_pico"]) == (spent, 0)


async def test_whoever_gives_up_waiting_leaves_no_run_that_seems_to_go_on(world: World) -> None:
    async with LLMStandin(_hang_from(0)) as server:
        world.use_model(server.base_url)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(_started(world, server), 20)
    run = world.run()
    assert (run.status, run.owner) == ("cancelled", None)
    assert world.rows(RESERVED) == []


async def _started(world: World, server: LLMStandin) -> None:
    work = asyncio.create_task(world.train(request_of(4)))
    await _soon(world, server)
    work.cancel()
    try:
        await work
    except asyncio.CancelledError:
        raise TimeoutError from None


async def test_a_run_that_is_worked_on_cannot_be_started_again(world: World) -> None:
    async with LLMStandin(_hang_from(0)) as server:
        world.use_model(server.base_url)
        work = asyncio.create_task(world.train(request_of(4)))
        await _soon(world, server)
        with pytest.raises(ConflictError, match="being worked on by"):
            await world.train(request_of(4))
        with world.db.writing() as session:
            runs.request_cancel(session, "r1")
        assert (await work)["status"] == "cancelled"


async def test_a_process_that_lost_its_run_writes_nothing_more(world: World) -> None:
    async with LLMStandin(climb, latency=0.1) as server:
        world.use_model(server.base_url)
        work = asyncio.create_task(world.train(request_of(60, optimizer={"max_concurrency": 2})))
        await _soon(world, server)
        with world.db.writing() as session:
            runs.claim_run(session, "r1", "elsewhere:1:x", is_gone=lambda owner: True)
        with pytest.raises(ConflictError, match="taken over by elsewhere"):
            await work
    run = world.run()
    assert (run.status, run.owner) == ("running", "elsewhere:1:x")
    assert world.payloads("training_result") == []


async def test_an_answer_at_temperature_0_is_served_from_the_database(world: World) -> None:
    prompt = {"text": "LEVEL 1", "requires_grad": True, "model_kwargs": {"temperature": 0}}
    request = request_of(4, prompts={"system": prompt}, cache=True)
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        first = await world.train(request)
        second = await world.train(request, "r2")
        asked = server.total
    cached = world.rows("SELECT * FROM llm_calls WHERE outcome = 'cached'")
    assert asked == 4 and len(cached) == 4
    assert {(row["run_id"], row["cost_pico"]) for row in cached} == {("r2", 0)}
    assert second["cost_usd"] == 0 < first["cost_usd"]
    assert second["seed_score"] == first["seed_score"]


async def test_nothing_is_served_from_the_database_unless_asked_for(world: World) -> None:
    prompt = {"text": "LEVEL 1", "requires_grad": True, "model_kwargs": {"temperature": 0}}
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        for run_id in ("r1", "r2"):
            await world.train(request_of(4, prompts={"system": prompt}), run_id)
        assert server.total == 8


async def test_a_finished_run_that_is_resumed_tells_nothing_twice(world: World) -> None:
    request = request_of(4, graph_config=world.agent(CLIMBING_AGENT))
    first = await world.train(request)
    events = world.events()
    assert await world.train(request) == first
    assert world.events() == events


async def test_a_finished_run_goes_on_when_it_is_given_more_epochs(world: World) -> None:
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        await world.train(request_of(4, optimizer={"epochs": 2}))
        asked = server.total
        result = await world.train(request_of(4, optimizer={"epochs": 3}))
        new = [r.body for r in server.requests[asked:]]
    assert len(result["checkpoints"]) == 3
    assert [p["epoch"] for p in world.payloads("training_epoch_complete")] == [1, 2, 3]
    assert world.run().request["optimizer"]["epochs"] == 3
    assert sum(is_optimizer(body) for body in new) == 1
