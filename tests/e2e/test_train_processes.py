"""Trainings as processes of their own: watched, cancelled and run side by side from outside."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelling

from cornerman.storage import checkpoints, events, runs
from cornerman.storage.database import Database
from tests.support.forked_trainings import ForkedTrainings, ends_within
from tests.support.llm_standin import LLMStandin, Reply
from tests.support.training import MODEL_KEY, climb, request_of

RESERVED = "SELECT COUNT(*) FROM llm_calls WHERE status = 'reserved'"


@pytest.fixture(scope="module")
def trainings(prefect_harness: None) -> Iterator[ForkedTrainings]:
    env = {"PREFECT_API_URL": str(PREFECT_API_URL.value()), "PREFECT_LOGGING_LEVEL": "CRITICAL"}
    with ForkedTrainings(**env) as forked:
        yield forked


def _env(db: Database, home: Path, server: LLMStandin | None = None) -> dict[str, str]:
    url = db.engine.url.render_as_string(hide_password=False)
    env = {"CORNERMAN_HOME": str(home), "USE_LOCAL_DB": "true", "LOCAL_DB_URL": url}
    if server is not None:
        env |= {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": MODEL_KEY}
    return env


def _read(db: Database, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with db.reading() as session:
        return function(session, *args, **kwargs)


async def _until(condition: Callable[[], Any], seconds: float = 30) -> Any:
    give_up = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < give_up
        await asyncio.sleep(0.02)
    return found


async def test_another_process_sees_each_event_within_a_second(
    trainings: ForkedTrainings, db: Database, cornerman_home: Path
) -> None:
    async with LLMStandin(climb, latency=0.05) as server:
        env = _env(db, cornerman_home, server)
        request = request_of(16, optimizer={"epochs": 2, "max_concurrency": 2})
        process = trainings.start(request, "r1", **env)
        await _until(lambda: _read(db, runs.read_run, "r1"))
        seen, latest = list[Any](), 0.0
        while not seen or seen[-1].event != "training_result":
            for event in _read(db, events.read_events, "r1", after=len(seen)):
                seen.append(event)
                latest = max(latest, (datetime.now(UTC) - event.created_at).total_seconds())
            await asyncio.sleep(0.02)
        assert await asyncio.to_thread(ends_within, process, 10)
    assert latest < 1.0
    assert [event.seq for event in seen] == list(range(1, len(seen) + 1))
    spread = seen[-1].created_at - seen[0].created_at
    assert spread.total_seconds() > 0.3, "they were written as things happened"
    for after in range(len(seen)):
        again = _read(db, events.read_events, "r1", after=after, limit=3)
        assert [event.seq for event in again] == list(range(after + 1, len(seen) + 1))[:3]


async def test_a_cancel_in_prefect_ends_a_run_of_any_process(
    trainings: ForkedTrainings, sqlite_db: Database, cornerman_home: Path
) -> None:
    async with LLMStandin(lambda request, n: Reply(hang=True)) as server:
        process = trainings.start(request_of(4), "r1", **_env(sqlite_db, cornerman_home, server))
        await _until(lambda: server.in_flight)
        flow_run_id = UUID(_read(sqlite_db, runs.read_run, "r1").flow_run_id)
        async with get_client() as client:
            await client.set_flow_run_state(flow_run_id, Cancelling(), force=True)
            asked = time.monotonic()
            await _until(lambda: server.in_flight == 0)
            assert time.monotonic() - asked < 2.5
            assert await asyncio.to_thread(ends_within, process, 10)
            state = (await client.read_flow_run(flow_run_id)).state
    run = _read(sqlite_db, runs.read_run, "r1")
    assert (run.status, run.stopped_by) == ("cancelled", "cancelled")
    assert state is not None and state.is_cancelled()


async def test_a_cancel_in_the_database_shows_in_prefect(
    trainings: ForkedTrainings, sqlite_db: Database, cornerman_home: Path
) -> None:
    async with LLMStandin(lambda request, n: Reply(hang=True)) as server:
        process = trainings.start(request_of(4), "r1", **_env(sqlite_db, cornerman_home, server))
        await _until(lambda: server.in_flight)
        with sqlite_db.writing() as session:
            run = runs.request_cancel(session, "r1")
        assert await asyncio.to_thread(ends_within, process, 10)
        async with get_client() as client:
            state = (await client.read_flow_run(UUID(run.flow_run_id))).state
    assert state is not None and state.is_cancelled()
    # Prefect was told neither of headers nor of keys, and the run goes on when it is asked to.
    async with LLMStandin(climb) as server:
        process = trainings.start(request_of(4), "r1", **_env(sqlite_db, cornerman_home, server))
        assert await asyncio.to_thread(ends_within, process, 30)
    assert _read(sqlite_db, runs.read_run, "r1").status == "completed"


async def test_two_processes_train_one_workflow_side_by_side(
    trainings: ForkedTrainings, db: Database, cornerman_home: Path
) -> None:
    async with LLMStandin(climb, latency=0.02) as server:
        env = _env(db, cornerman_home, server)
        request = request_of(12, optimizer={"epochs": 4})
        processes = [trainings.start(request, run_id, **env) for run_id in ("r1", "r2")]
        for process in processes:
            assert await asyncio.to_thread(ends_within, process, 60)
    stored = _read(db, checkpoints.read_checkpoints, "climb", limit=200)
    assert sorted(c.config_version for c in stored) == list(range(1, 9))
    assert sum(c.is_best for c in stored) == 1
    best = max(c.metrics["validation_score"] for c in stored)
    assert next(c for c in stored if c.is_best).metrics["validation_score"] == best
    for run_id in ("r1", "r2"):
        run = _read(db, runs.read_run, run_id)
        told = _read(db, events.read_events, run_id, limit=10_000)
        assert run.status == "completed"
        assert [event.seq for event in told] == list(range(1, len(told) + 1))
        told_cases = sum(event.event == "training_progress" for event in told)
        assert told_cases == sum(run.result["cases"].values())
