"""Server, deployments, workers, gateway and Slack, all real; and a worker that is killed."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from websockets.sync.client import connect

from cornerman.storage.database import Database
from tests.support.deployed import Deployed, call, kill, wait_for
from tests.support.http_standin import HttpStandin

SECRET = "cron-secret-for-tests"
TOKEN = "api-token-for-tests"


@pytest.fixture
async def slack() -> AsyncIterator[HttpStandin]:
    async with HttpStandin() as server:
        yield server


def settings(slack: HttpStandin) -> dict[str, str]:
    return {
        "SLACK_WEBHOOK_URL": f"{slack.url}/hook",
        "CRON_SECRET": SECRET,
        "API_TOKEN": TOKEN,
        "REHEARSAL_LATENCY_MS": "250",
        "DELAY_BETWEEN_BATTLES_MS": "100",
    }


def rows(db: Database, query: str, **values: Any) -> list[Any]:
    with db.reading() as session:
        return list(session.execute(text(query), values))


def count_turns(db: Database, batch_id: str) -> int:
    query = "SELECT t.battle_id FROM battle_turns t JOIN sandbox_battles b ON b.id = t.battle_id"
    return len(rows(db, f"{query} WHERE b.batch_id = :id", id=batch_id))


def is_finished(db: Database, batch_id: str) -> bool:
    found = rows(db, "SELECT status FROM runs WHERE id = :id", id=batch_id)
    return bool(found) and found[0][0] not in ("pending", "running")


@pytest.mark.slow
@pytest.mark.timeout(200)
async def test_another_worker_finishes_the_batch_of_a_killed_one(
    tmp_path: Path, slack: HttpStandin
) -> None:
    with Deployed(tmp_path / "home", settings(slack)) as machine:
        # In a thread, so that Slack's stand-in goes on answering.
        await asyncio.to_thread(_scenario, machine)
        # Slack hears of it once everything is stored.
        for _ in range(200):
            if told := [b["text"] for b in slack.bodies if "Battle batch" in b["text"]]:
                break
            await asyncio.sleep(0.1)
    assert len(told) == 1
    assert "3 of 3 done" in told[0]


def _scenario(machine: Deployed) -> None:
    assert set(machine.cornerman("deploy")["deployments"].values()) == {"created"}
    again = machine.cornerman("deploy")
    assert {*again["deployments"].values(), *again["work_pool"].values()} == {"unchanged"}
    first, gateway = machine.worker("first"), machine.gateway()
    wait_for(lambda: _slots(machine) >= {0, 7, 17, 30}, seconds=30, what=machine.logs)
    started = call(f"{gateway}/api/cron/train", {"batchSize": 3}, token=SECRET)
    batch_id = started["batch"]["batchId"]
    db = Database(machine.url)
    wait_for(lambda: count_turns(db, batch_id) >= 4, seconds=60, what=machine.logs)
    before = count_turns(db, batch_id)
    kill(first)
    assert not is_finished(db, batch_id)
    machine.worker("second")
    wait_for(lambda: is_finished(db, batch_id), seconds=75, what=machine.logs)
    shown = call(f"{gateway}/api/runs/{batch_id}", token=TOKEN)
    _check(db, batch_id, before, shown)
    db.close()
    _check_artifacts(machine)
    _check_evaluation(machine, gateway)
    _check_kill_switch(machine, gateway)


def _check_evaluation(machine: Deployed, gateway: str) -> None:
    """Asked for over the websocket, a worker's flow run of its deployment evaluates."""
    cases = [{"inputs": {"message": f"Parcel {n}?"}, "expected_output": "delivery"} for n in (1, 2)]
    block = {
        "dataset": {"cases": cases},
        "evaluators": [{"id": "same", "entrypoint": "exact_match"}],
        "prompts": {"system": {"text": "Label the message."}},
    }
    address = f"{gateway.replace('http', 'ws')}/ws/workflow/labels"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with connect(address, additional_headers=headers) as client:
        message = {"type": "evaluate_workflow", "execution_id": "gate", "evaluation": block}
        client.send(json.dumps(message))
        said = [json.loads(client.recv(timeout=60)) for _ in range(4)]
    assert [one.get("event") for one in said[:3]] == [
        *("evaluation_progress", "evaluation_progress", "evaluation_result")
    ], machine.logs()
    assert said[3] == {"status": "completed"}
    runs = call(f"{machine.api}/flow_runs/filter", {})
    [flow_run] = [run for run in runs if run["name"] == "evaluate-workflow labels gate"]
    deployment = call(f"{machine.api}/deployments/{flow_run['deployment_id']}")
    assert deployment["entrypoint"] == "cornerman.flows.evaluate.evaluate_workflow"


def _slots(machine: Deployed) -> set[int]:
    """Minutes at which the server means to start runs, of its own accord."""
    found = call(f"{machine.api}/flow_runs/filter", {})
    return {int(run["expected_start_time"][14:16]) for run in found if run["auto_scheduled"]}


def _check(db: Database, batch_id: str, before: int, shown: dict[str, Any]) -> None:
    assert shown["status"] == "completed"
    battles = rows(db, "SELECT status FROM sandbox_battles WHERE batch_id = :id", id=batch_id)
    assert [status for (status,) in battles] == ["scored"] * 3
    calls = Counter(
        (subject, outcome)
        for subject, outcome in rows(
            db,
            "SELECT subject, outcome FROM llm_calls WHERE run_id = :id AND role IN "
            "('agent', 'persona')",
            id=batch_id,
        )
    )
    paid = sum(number for (_, outcome), number in calls.items() if outcome == "ok")
    lost = sum(number for (_, outcome), number in calls.items() if outcome != "ok")
    # Each turn was paid for once; of those in flight at the kill each battle lost one at most.
    assert paid == count_turns(db, batch_id) > before
    assert lost <= 3
    events = rows(db, "SELECT seq FROM events WHERE run_id = :id ORDER BY seq", id=batch_id)
    assert [seq for (seq,) in events] == list(range(1, len(events) + 1))


def _check_artifacts(machine: Deployed) -> None:
    wanted = {"markdown", "table", "progress"}
    found = wait_for(lambda: _artifacts(machine, wanted), seconds=20, what=machine.logs)
    texts = [str(a["data"]) for a in found if a["key"] == "battle-batch-negotiation"]
    assert any("Battles: 3 of 3" in text for text in texts)


def _artifacts(machine: Deployed, wanted: set[str]) -> list[dict[str, Any]]:
    # They are made once everything else is done.
    found = call(f"{machine.api}/artifacts/filter", {})
    return found if wanted <= {artifact["type"] for artifact in found} else []


def _check_kill_switch(machine: Deployed, gateway: str) -> None:
    """Turned on anywhere, it pauses the schedules; turned off, they go on."""
    machine.cornerman("kill-switch", "on", "--reason", "a test")
    wait_for(lambda: _is_paused(machine) is True, seconds=30, what=machine.logs)
    refused = call(f"{gateway}/api/cron/train", {"batchSize": 1}, token=SECRET)
    assert refused["killSwitchActive"] is True
    machine.cornerman("kill-switch", "off")
    wait_for(lambda: _is_paused(machine) is False, seconds=30, what=machine.logs)


def _is_paused(machine: Deployed) -> bool:
    name = "battle-batch/every-30-minutes"
    return bool(call(f"{machine.api}/deployments/name/{name}")["paused"])
