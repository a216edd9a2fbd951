"""Checkpoints, breakthroughs, figures, health and logs."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from cornerman.gateway.middleware import set_up_logs
from cornerman.storage.database import Database
from tests.gateway.samples import fought, store_checkpoints
from tests.gateway.serving import API_TOKEN, CRON_SECRET, Served, new_run, say

PATH = "/api/workflows/support/agentensor/checkpoints"


@pytest.fixture
def stored(gateway: Served) -> Served:
    """A gateway with 30 checkpoints of one workflow and one of another."""
    store_checkpoints(gateway.db, 30)
    return gateway


def test_checkpoints_come_newest_first_and_page_by_page(stored: Served) -> None:
    first = stored.http.get(PATH).json()
    assert [c["config_version"] for c in first] == list(range(30, 10, -1))
    before = first[-1]["config_version"]
    rest = stored.http.get(f"{PATH}?before={before}&limit=200").json()
    assert [c["config_version"] for c in rest] == list(range(10, 0, -1))
    assert set(first[0]) == {
        "id",
        "workflow_id",
        "config_version",
        "runnable_config",
        "metrics",
        "metadata",
        "artifact_url",
        "is_best",
        "created_at",
    }


def test_checkpoints_are_found_by_best_and_by_run(stored: Served) -> None:
    assert [c["id"] for c in stored.http.get(f"{PATH}?best=true").json()] == ["c30"]
    assert len(stored.http.get(f"{PATH}?best=false&limit=200").json()) == 29
    found = stored.http.get(f"{PATH}?run_id=r1&limit=3").json()
    assert [c["id"] for c in found] == ["c29", "c27", "c25"]


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "before=x", "best=maybe"])
def test_queries_out_of_bounds_are_422(stored: Served, query: str) -> None:
    answer = stored.http.get(f"{PATH}?{query}")
    assert answer.status_code == 422 and query.partition("=")[0] in answer.json()["message"]


def test_what_is_not_there_is_404(stored: Served) -> None:
    assert stored.http.get("/api/workflows/none/agentensor/checkpoints").status_code == 404
    assert stored.http.get("/api/workflows/empty/agentensor/checkpoints").json() == []
    assert stored.http.get(f"{PATH}/c30").json()["id"] == "c30"
    assert stored.http.get(f"{PATH}/none").status_code == 404
    assert stored.http.get(f"{PATH}/c99").status_code == 404, "another workflow's"


def test_the_prompts_of_two_checkpoints_are_compared(stored: Served) -> None:
    found = stored.http.get("/api/monitor/diff/support?before=c1&after=c2").json()
    assert found["prompts"][0]["name"] == "system" and found["prompts"][0]["changed"] is True
    assert stored.http.get("/api/monitor/diff/support?before=c1&after=c99").status_code == 404


def test_battles_are_shown_with_their_turns_and_their_batches_average(gateway: Served) -> None:
    fought(gateway.db)
    shown = gateway.http.get("/api/monitor/battles").json()
    assert [battle["id"] for battle in shown["battles"]] == ["b1", "b0"]
    assert shown["batches"][0]["average_score"]["value"] == pytest.approx(84.0)
    one = gateway.http.get("/api/battles/b0").json()
    assert one["turns"][0]["text"] == "<script>x</script>" and one["persona_name"] == "<b>Ann</b>"
    summary = gateway.http.get("/api/monitor/summary?workflow=negotiation").json()
    assert summary["battles"] == 2 and summary["average_score"]["n"] == 2
    assert summary["breakthroughs"]["pending_review"] == 1


def test_a_breakthrough_moves_through_its_states_and_no_other_way(gateway: Served) -> None:
    fought(gateway.db)
    path = "/api/breakthroughs/bt/state"
    refused = gateway.http.post(path, json={"state": "promoted"})
    assert refused.status_code == 409 and "only a reviewed one" in refused.json()["message"]
    changed = gateway.http.post(path, json={"state": "reviewed", "reason": "good"})
    assert changed.json()["status"] == "reviewed"
    listed = gateway.http.get("/api/breakthroughs?state=reviewed").json()["breakthroughs"]
    assert [b["id"] for b in listed] == ["bt"]
    assert gateway.http.post(path, json={"state": "pending_review"}).status_code == 409
    assert gateway.http.post(path, json={"state": "famous"}).status_code == 422
    missing = gateway.http.post("/api/breakthroughs/x/state", json={"state": "reviewed"})
    assert missing.status_code == 404


def test_a_trial_that_cannot_be_held_is_refused_before_it_begins(gateway: Served) -> None:
    fought(gateway.db)
    path = "/api/breakthroughs/bt/state"
    gateway.http.post(path, json={"state": "reviewed"})
    refused = gateway.http.post(path, json={"state": "promoted"})
    assert refused.status_code == 409
    assert "0 active ones did not show the tactic" in refused.json()["message"]
    assert gateway.http.get("/api/breakthroughs?state=reviewed").json()["breakthroughs"]


def test_a_training_run_is_shown_with_its_epochs_and_newest_cases(gateway: Served) -> None:
    new_run(gateway.db, "r")
    say(gateway.db, "r", *({"case_id": str(n)} for n in range(30)))
    say(gateway.db, "r", {"epoch": 1, "score": 0.5}, event="training_epoch_complete")
    shown = gateway.http.get("/api/monitor/training/support").json()
    assert shown["run"]["id"] == "r" and [e["epoch"] for e in shown["epochs"]] == [1]
    assert shown["latest"][0]["case_id"] == "29" and len(shown["latest"]) == 20


def test_figures_are_counted_for_prometheus(gateway: Served) -> None:
    fought(gateway.db)
    gateway.http.get("/api/runs")
    text = gateway.http.get("/metrics").text
    for line in (
        'cornerman_runs{kind="battle",status="running"} 1.0',
        'cornerman_battles{status="scored"} 2.0',
        'cornerman_cost_usd_total{simulated="false"} 0.0',
        "cornerman_queue 0.0",
        'cornerman_http_requests_total{method="GET",status="2xx"}',
        "cornerman_event_lag_seconds_count",
    ):
        assert line in text, line


def test_a_database_that_is_away_is_unhealthy(gateway: Served) -> None:
    with gateway.db.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE kill_switch")
    answer = gateway.open.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["database"] == "unavailable" and "kill_switch" not in answer.text


@pytest.fixture
def log_lines(serve: Callable[..., Served], sqlite_db: Database) -> Iterator[Any]:
    """Call a gateway and read what it logged."""
    stream = io.StringIO()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    gateway = serve(sqlite_db)
    set_up_logs(gateway.settings, stream)
    yield lambda: (gateway, [json.loads(line) for line in stream.getvalue().splitlines()])
    root.handlers[:], root.level = before
    structlog.reset_defaults()


def test_logs_are_json_with_ids_and_without_secrets(log_lines: Any) -> None:
    gateway, _ = log_lines()
    log = structlog.get_logger("cornerman.test")
    with structlog.contextvars.bound_contextvars(run_id="r1", batch_id="b1"):
        log.info("said", text=f"see {CRON_SECRET}", nested={"api_key": "x", "ok": [API_TOKEN]})
    logging.getLogger("uvicorn.error").error("Authorization: Bearer %s", "abcdefghijkl")
    gateway.http.get(f"/api/runs?access_token={API_TOKEN}")
    _, lines = log_lines()
    said = next(line for line in lines if line["event"] == "said")
    assert (said["run_id"], said["batch_id"]) == ("r1", "b1")
    assert said["nested"] == {"api_key": "***", "ok": ["***"]}
    text = json.dumps(lines)
    for secret in (CRON_SECRET, API_TOKEN, "abcdefghijkl"):
        assert secret not in text


def test_the_openapi_document_names_every_refusal(gateway: Served) -> None:
    document = gateway.http.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path != "/healthz":
                assert {"401", "422", "429", "500"} <= set(operation["responses"]), (path, method)
    assert gateway.http.get("/docs").status_code == 404
