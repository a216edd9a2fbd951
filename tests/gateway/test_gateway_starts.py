"""What the live page starts, and that whoever watches knows of a run once it is accepted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cornerman.runner.example import example_training
from cornerman.storage import runs
from tests.gateway.serving import API, Served, end, new_run, until

START = "/api/monitor/start"


def _run(gateway: Served, run_id: str) -> Any:
    with gateway.db.reading() as session:
        return runs.read_run(session, run_id)


@pytest.mark.parametrize(
    ("body", "kind", "workflow"),
    [
        ({"what": "batch", "batch_size": 1}, "battle", "negotiation"),
        ({"what": "batch", "workflow": "support", "batch_size": 1}, "battle", "support"),
        ({"what": "scout"}, "scout", "negotiation"),
        ({"what": "training"}, "train", "triage"),
    ],
)
def test_it_is_accepted_and_runs(
    gateway: Served, body: dict[str, Any], kind: str, workflow: str
) -> None:
    answer = gateway.http.post(START, json=body)
    assert answer.status_code == 202, answer.text
    accepted = answer.json()
    assert (accepted["kind"], accepted["workflow_id"]) == (kind, workflow)
    until(lambda: _run(gateway, accepted["id"]).status != "pending", 60, "it begins")


@pytest.mark.parametrize("what", ["batch", "scout", "training"])
def test_it_is_refused_while_paid_work_is_stopped(gateway: Served, what: str) -> None:
    gateway.http.put("/api/kill-switch", json={"active": True, "reason": "odd bills"})
    answer = gateway.http.post(START, json={"what": what})
    assert (answer.status_code, answer.json()["killSwitchActive"]) == (503, True)
    assert "odd bills" in answer.json()["message"]
    assert gateway.http.get("/api/runs").json() == []


def test_it_is_refused_without_the_token(gateway: Served) -> None:
    assert gateway.open.post(START, json={"what": "scout"}).status_code == 401
    assert gateway.cron.post(START, json={"what": "scout"}).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"what": "everything"},
        {"what": "batch", "batch_size": 11},
        {"what": "batch", "batch_size": True},
        {"what": "batch", "workflow": "nobody-knows-it"},
        {"what": "batch", "workflow": "a\x00b"},
        {"what": "batch", "size": 1},
    ],
)
def test_nonsense_is_refused_before_anything_is_stored(
    gateway: Served, body: dict[str, Any]
) -> None:
    answer = gateway.http.post(START, json=body)
    assert answer.status_code == 422 and answer.json()["message"]
    assert gateway.http.get("/api/runs").json() == []


@pytest.mark.parametrize(("what", "kind"), [("batch", "battle"), ("training", "train")])
def test_a_second_one_is_refused_while_the_first_goes_on(
    gateway: Served, what: str, kind: str
) -> None:
    workflow = "triage" if what == "training" else "negotiation"
    new_run(gateway.db, "first", kind=kind, workflow=workflow)
    answer = gateway.http.post(START, json={"what": what})
    assert (answer.status_code, answer.json()["id"]) == (409, "first")


def test_the_example_holds_its_cases() -> None:
    spec = example_training()
    assert spec.workflow_id == "triage" and spec.dataset.path is None
    assert len(spec.dataset.cases or ()) > 20


def test_whoever_watches_knows_of_a_run_from_its_acceptance_to_its_end(gateway: Served) -> None:
    seen = list[tuple[str, str]]()
    with gateway.http.stream("GET", "/api/monitor/stream", headers=API) as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("retry")
        new_run(gateway.db, "b", kind="battle")
        for line in lines:
            if not line.startswith("data: "):
                continue
            said = json.loads(line.removeprefix("data: "))
            assert (said["event"], said["run_id"]) == ("run_status", "b")
            seen.append((said["payload"]["kind"], said["payload"]["status"]))
            if said["payload"]["status"] == "running":
                end(gateway.db, "b")
            if said["payload"]["status"] == "completed":
                break
    assert seen[-2:] == [("battle", "running"), ("battle", "completed")]
