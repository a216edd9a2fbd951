"""What a scheduler is told when a batch cannot start, and when it ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cornerman.personas import builtin_personas
from cornerman.storage import personas, runs, workflows
from cornerman.storage.budgets import create_kill_switch_state
from cornerman.storage.database import Database
from tests.gateway.serving import Served, end, new_run


def _batch(batch_id: str, **more: Any) -> dict[str, Any]:
    return {
        "batchId": batch_id,
        "battlesCompleted": 2,
        "averageScore": 61.5,
        "totalCost": 0.0123,
        "breakthroughs": 1,
        "errors": [],
        "stoppedBy": None,
        "completedAt": "2026-01-31T00:00:00+00:00",
        "battles": [],
    } | more


def _with_key(db: Database, batch_id: str, key: str) -> None:
    with db.writing() as session:
        workflows.create_workflow(session, "negotiation")
        runs.create_run(
            session,
            run_id=batch_id,
            kind="battle",
            workflow_id="negotiation",
            request={},
            random_state={},
            simulated=True,
            idempotency_key=key,
        )
        runs.claim_run(session, batch_id, "tests:1:x")


def test_the_same_key_gives_the_same_batch_even_after_its_end(gateway: Served) -> None:
    _with_key(gateway.db, "batch-1", "tonight")
    key = {"Idempotency-Key": "tonight"}
    answer = gateway.cron.post("/api/cron/train", json={"batchSize": 3}, headers=key)
    assert answer.status_code == 202
    body = answer.json()
    assert (body["success"], body["status"]) == (True, "started")
    assert body["batch"]["batchId"] == "batch-1"
    end(gateway.db, "batch-1", result=_batch("batch-1"))
    again = gateway.cron.post("/api/cron/train", headers=key).json()
    assert again["batch"]["batchId"] == "batch-1"


def test_a_batch_that_came_to_nothing_is_no_success(gateway: Served) -> None:
    _with_key(gateway.db, "batch-1", "k")
    nothing = {"battlesCompleted": 0, "battlesFailed": 3, "averageScore": None}
    end(gateway.db, "batch-1", "failed", result=_batch("batch-1") | nothing)
    body = gateway.cron.get("/api/cron/train", headers={"Idempotency-Key": "k"}).json()
    assert (body["success"], body["batch"]["status"]) == (False, "failed")
    assert body["batch"]["battlesFailed"] == 3 and "not one battle was scored" in body["message"]


def test_a_finished_batch_is_answered_with_its_figures(gateway: Served) -> None:
    _with_key(gateway.db, "batch-1", "k")
    end(gateway.db, "batch-1", result=_batch("batch-1"))
    body = gateway.cron.get("/api/cron/train", headers={"Idempotency-Key": "k"}).json()
    expected = {k: v for k, v in _batch("batch-1").items() if k != "battles"}
    expected |= {"status": "completed", "battlesFailed": 0}
    assert body["success"] is True and body["batch"] == expected
    assert "2 battles completed, average score 61.5" in body["message"]


@pytest.mark.parametrize(
    ("stopped_by", "said"), [("timeout", "Execution timeout"), ("budget", "Kill-switch activated")]
)
def test_what_stopped_a_batch_is_said_in_known_words(
    gateway: Served, stopped_by: str, said: str
) -> None:
    _with_key(gateway.db, "batch-1", "k")
    end(gateway.db, "batch-1", result=_batch("batch-1", stoppedBy=stopped_by))
    body = gateway.cron.get("/api/cron/train", headers={"Idempotency-Key": "k"}).json()
    assert said in body["message"] and body["batch"]["stoppedBy"] == stopped_by


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_running_batch_is_a_conflict_that_names_it(gateway: Served, method: str) -> None:
    new_run(gateway.db, "batch-now", kind="battle", workflow="negotiation")
    answer = gateway.cron.request(method, "/api/cron/train")
    assert answer.status_code == 409
    assert answer.json()["id"] == "batch-now" and "batch-now" in answer.json()["message"]


@pytest.mark.parametrize("path", ["/api/cron/train", "/api/cron/scout-scan"])
def test_an_active_kill_switch_stops_cron(gateway: Served, path: str) -> None:
    on = {"active": True, "reason": "too dear"}
    switch = gateway.http.put("/api/kill-switch", json=on).json()
    assert switch["by"] == "api-token@127.0.0.1" and switch["since"]
    answer = gateway.cron.get(path)
    assert answer.status_code == 503
    body = answer.json()
    assert body["error"] == "Kill-switch activated" and body["killSwitchActive"] is True
    assert "too dear" in body["message"]
    off = gateway.http.put("/api/kill-switch", json={"active": False}).json()
    assert off["active"] is False and gateway.http.get("/api/kill-switch").json() == off


def test_an_active_kill_switch_answers_a_known_key_too(gateway: Served) -> None:
    _with_key(gateway.db, "batch-1", "tonight")
    end(gateway.db, "batch-1", result=_batch("batch-1"))
    gateway.http.put("/api/kill-switch", json={"active": True, "reason": "too dear"})
    key = {"Idempotency-Key": "tonight"}
    answers = [gateway.cron.request(m, "/api/cron/train", headers=key) for m in ("GET", "POST")]
    assert [answer.status_code for answer in answers] == [503, 503]


def test_no_active_personas_are_said_so_with_what_mends_it(gateway: Served) -> None:
    with gateway.db.writing() as session:
        workflows.create_workflow(session, "negotiation")
        personas.create_personas(session, builtin_personas("negotiation"))
        for persona in personas.read_personas(session, "negotiation"):
            personas.update_persona_active(session, "negotiation", persona.id, active=False)
    answer = gateway.cron.post("/api/cron/train")
    assert answer.status_code == 422
    assert answer.json()["error"] == "No active personas found"
    for said in ("Ensure personas are created", "is_active=true", "cornerman personas on ID"):
        assert said in answer.json()["message"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_batch_may_name_the_workflow_whose_agent_plays(gateway: Served, method: str) -> None:
    named = {"workflowId": "shop"}
    body: dict[str, Any] = {"json": named} if method == "POST" else {"params": named}
    answer = gateway.cron.request(method, "/api/cron/train", **body)
    # Nobody is met in a workflow that nobody knows.
    assert answer.status_code == 422
    assert "--workflow shop" in answer.json()["message"]


@pytest.mark.parametrize("size", [0, 11, -1, "3", 1.5, True, [1]])
def test_a_batch_size_out_of_bounds_is_refused(gateway: Served, size: Any) -> None:
    answer = gateway.cron.post("/api/cron/train", json={"batchSize": size})
    assert answer.status_code == 422 and "batchSize" in answer.json()["message"]


def test_the_settings_lower_the_limit_of_the_batch_size(
    serve: Callable[..., Served], sqlite_db: Database
) -> None:
    gateway = serve(sqlite_db, MAX_TRAINING_BATCH_SIZE="4")
    answer = gateway.cron.get("/api/cron/train?batchSize=5")
    assert answer.status_code == 422
    assert "batchSize is 5" in answer.json()["message"] and "1 to 4" in answer.json()["message"]


def test_a_batch_that_does_not_end_in_time_is_an_execution_timeout(
    serve: Callable[..., Served], sqlite_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cornerman.gateway.routes import cron

    monkeypatch.setattr(cron, "START_GRACE_SECONDS", 0.0)
    gateway = serve(sqlite_db, MAX_TRAINING_EXECUTION_TIME_MS="200")
    _with_key(gateway.db, "batch-1", "k")
    answer = gateway.cron.get("/api/cron/train", headers={"Idempotency-Key": "k"})
    assert answer.status_code == 504
    body = answer.json()
    assert body["error"] == "Execution timeout" and "TRAINING_BATCH_SIZE" in body["message"]
    assert gateway.http.get("/api/runs/batch-1").json()["status"] == "running"


def test_a_batch_that_failed_is_answered_with_its_cause(gateway: Served) -> None:
    _with_key(gateway.db, "batch-1", "k")
    facts = {"type": "X", "message": "It broke.", "hint": "Mend it.", "stack": "secret"}
    end(gateway.db, "batch-1", "failed", error=facts)
    answer = gateway.cron.get("/api/cron/train", headers={"Idempotency-Key": "k"})
    assert answer.status_code == 500 and "It broke. Mend it." in answer.json()["message"]
    assert "secret" not in answer.text


def test_a_batch_that_met_the_kill_switch_is_answered_as_if_it_were_on(gateway: Served) -> None:
    _with_key(gateway.db, "batch-1", "k")
    facts = {"type": "KillSwitchActiveError", "message": "The kill-switch is on: dear.", "hint": ""}
    end(gateway.db, "batch-1", "failed", error=facts)
    answer = gateway.cron.get("/api/cron/train", headers={"Idempotency-Key": "k"})
    body = answer.json()
    assert answer.status_code == 503 and body["killSwitchActive"] is True
    assert "dear" in body["message"] and "cornerman kill-switch off" in body["message"]


def test_a_prefect_server_that_is_away_is_said_so_and_leaves_no_pending_batch(
    serve: Callable[..., Served], sqlite_db: Database
) -> None:
    gateway = serve(sqlite_db, PREFECT_API_URL="http://127.0.0.1:9/api")
    answer = gateway.cron.post("/api/cron/train")
    assert answer.status_code == 503 and answer.json()["error"] == "Prefect unavailable"
    assert gateway.http.get("/api/runs?active=true").json() == []
    health = gateway.open.get("/healthz")
    assert health.status_code == 503 and health.json()["prefect"] == "unavailable"


def test_turning_the_switch_twice_keeps_who_turned_it_first(gateway: Served) -> None:
    with gateway.db.writing() as session:
        create_kill_switch_state(session, active=True, reason="first", by="ledger")
    again = {"active": True, "reason": "second"}
    assert gateway.http.put("/api/kill-switch", json=again).json()["by"] == "ledger"
    for bad in ({}, {"active": "yes"}, {"active": True, "x": 1}, {"active": True, "reason": 1}):
        assert gateway.http.put("/api/kill-switch", json=bad).status_code == 422
