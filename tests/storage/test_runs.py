"""Runs: claimed by one living process, ended by whoever works on them or by nobody left."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cornerman.domain.errors import ConflictError, NotFoundError
from cornerman.domain.runs import DEAD_AFTER_SECONDS, NewEvent, Run
from cornerman.storage import events, run_reads, runs, workflows
from cornerman.storage.database import Database, types
from tests.storage.samples import make_run


def call(db: Database, function: Any, *args: Any, **kwargs: Any) -> Any:
    with db.writing() as session:
        return function(session, *args, **kwargs)


def claim(db: Database, owner: str = "me") -> Run:
    return call(db, runs.claim_run, "r", owner)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that lets time pass for storage."""

    def pass_time(seconds: float) -> None:
        ahead = timedelta(seconds=seconds)
        for module in (runs, run_reads):
            monkeypatch.setattr(module, "now", lambda: types.now() + ahead)

    return pass_time


def test_a_new_run_is_pending_and_belongs_to_nobody(db: Database):
    make_run(db, request={"epochs": 3}, random_state={"seed": 1})
    run = call(db, runs.read_run, "r")
    assert (run.status, run.owner, run.last_seq, run.finished) == ("pending", None, 0, False)
    assert (run.request, run.random_state, run.metrics) == ({"epochs": 3}, {"seed": 1}, {})


def test_the_same_id_gives_the_run_that_is_there(db: Database):
    make_run(db, request={"first": True})
    make_run(db, request={"first": False})
    assert call(db, runs.read_run, "r").request == {"first": True}


def test_the_same_key_gives_the_run_that_is_there(db: Database):
    make_run(db, "a", idempotency_key="k")
    make_run(db, "b", idempotency_key="k")
    assert call(db, runs.read_run, "b") is None
    assert call(db, runs.read_run_by_key, "train", "k").id == "a"


def test_a_key_belongs_to_one_kind_of_run(db: Database):
    make_run(db, "a", idempotency_key="k")
    make_run(db, "b", idempotency_key="k", kind="battle")
    assert call(db, runs.read_run_by_key, "battle", "k").id == "b"


def test_an_id_of_another_workflow_is_a_conflict(db: Database):
    make_run(db)
    with pytest.raises(ConflictError, match="exists already: train of 'w'") as caught:
        make_run(db, workflow_id="other")
    assert caught.value.existing_id == "r"


def test_a_claimed_run_is_running(db: Database):
    make_run(db)
    run = call(db, runs.claim_run, "r", "me", flow_run_id="f")
    assert (run.status, run.owner, run.flow_run_id) == ("running", "me", "f")
    assert run.started_at and run.heartbeat_at and runs.is_alive(run)


def test_a_living_owner_keeps_its_run(db: Database):
    make_run(db)
    claim(db, "me")
    with pytest.raises(ConflictError, match="worked on by me") as caught:
        claim(db, "you")
    assert "runs cancel r" in caught.value.hint
    assert claim(db, "me").owner == "me"


def test_a_dead_owners_run_is_taken_over(db: Database, later: Any):
    make_run(db)
    started_at = claim(db, "me").started_at
    later(DEAD_AFTER_SECONDS - 1)
    with pytest.raises(ConflictError):
        claim(db, "you")
    later(DEAD_AFTER_SECONDS + 1)
    assert call(db, runs.read_dead_run_ids) == ["r"]
    run = claim(db, "you")
    assert (run.owner, run.started_at) == ("you", started_at)


def test_a_heartbeat_keeps_a_run_alive(db: Database, later: Any):
    make_run(db)
    claim(db, "me")
    later(DEAD_AFTER_SECONDS - 1)
    call(db, runs.update_heartbeat, "r", "me")
    later(DEAD_AFTER_SECONDS + 1)
    assert call(db, runs.read_dead_run_ids) == []


def test_a_process_that_lost_its_run_cannot_keep_it_alive_or_end_it(db: Database, later: Any):
    make_run(db)
    claim(db, "me")
    later(DEAD_AFTER_SECONDS + 1)
    taken = claim(db, "you")
    assert call(db, runs.update_heartbeat, "r", "me").heartbeat_at == taken.heartbeat_at
    with pytest.raises(ConflictError, match="worked on by you"):
        call(db, runs.finish_run, "r", status="cancelled", owner="me")
    signals = call(db, runs.read_run_signals, "r")
    assert (signals.status, signals.owner) == ("running", "you")


def test_an_absent_run_cannot_be_claimed_cancelled_or_ended(db: Database):
    for function in (runs.request_cancel, lambda s, r: runs.claim_run(s, r, "me")):
        with pytest.raises(NotFoundError, match="no run 'absent'"):
            call(db, function, "absent")
    with pytest.raises(NotFoundError):
        call(db, runs.finish_run, "absent", status="failed")
    assert call(db, runs.read_run_signals, "absent") is None


def test_cancelling_a_running_run_marks_it_for_its_owner(db: Database):
    make_run(db)
    claim(db)
    run = call(db, runs.request_cancel, "r")
    assert (run.status, run.owner) == ("running", "me")
    again = call(db, runs.request_cancel, "r")
    assert run.cancel_requested_at == again.cancel_requested_at is not None
    assert call(db, runs.read_run_signals, "r").cancel_requested_at == run.cancel_requested_at


def test_cancelling_a_pending_run_holds_for_whoever_claims_it(db: Database):
    make_run(db)
    assert call(db, runs.request_cancel, "r").status == "pending"
    assert claim(db).cancel_requested_at is not None


def test_cancelling_a_dead_owners_run_ends_it_and_takes_it_away(db: Database, later: Any):
    make_run(db)
    claim(db)
    later(DEAD_AFTER_SECONDS + 1)
    run = call(db, runs.request_cancel, "r")
    assert (run.status, run.stopped_by, run.owner) == ("cancelled", "cancelled", None)
    assert run.finished_at is not None


def test_cancelling_an_ended_run_changes_nothing(db: Database):
    make_run(db)
    claim(db)
    ended = call(db, runs.finish_run, "r", status="completed", result={"score": 1})
    assert call(db, runs.request_cancel, "r") == ended


def test_an_ended_run_can_be_resumed_and_its_old_cancel_is_forgotten(db: Database):
    make_run(db)
    claim(db)
    call(db, runs.request_cancel, "r")
    call(db, runs.finish_run, "r", status="cancelled", stopped_by="cancelled")
    run = claim(db, "you")
    assert (run.status, run.stopped_by, run.finished_at) == ("running", None, None)
    assert run.cancel_requested_at is None


def test_ending_a_run_twice_changes_nothing(db: Database, later: Any):
    make_run(db)
    claim(db)
    first = call(db, runs.finish_run, "r", status="failed", error={"type": "E"}, owner="me")
    later(60)
    assert call(db, runs.finish_run, "r", status="failed", owner="me") == first
    assert (first.owner, first.error, first.finished) == (None, {"type": "E"}, True)


def test_metrics_are_merged(db: Database):
    make_run(db)
    call(db, runs.update_run_metrics, "r", {"a": 1, "b": 1})
    call(db, runs.update_run_metrics, "r", {"b": 2})
    call(db, runs.update_random_state, "r", {"draws": 7})
    run = call(db, runs.read_run, "r")
    assert (run.metrics, run.random_state) == ({"a": 1, "b": 2}, {"draws": 7})


def test_runs_are_listed_newest_first_and_filtered(db: Database):
    for n, kind in enumerate(["train", "battle", "train", "train"]):
        make_run(db, f"r{n}", kind=kind, workflow_id="v" if n == 3 else "w")
    call(db, runs.claim_run, "r0", "me")
    call(db, runs.finish_run, "r0", status="completed")

    def ids(**filters: Any) -> list[str]:
        found = [run.id for run in call(db, runs.read_runs, **filters)]
        if "limit" not in filters:
            assert len(found) == call(db, runs.count_runs, **filters)
        return found

    assert ids() == ["r3", "r2", "r1", "r0"]
    assert ids(kind="train", workflow_id="w") == ["r2", "r0"]
    assert ids(active=False) == ["r0"]
    assert ids(active=True, kind="battle") == ["r1"]
    assert ids(limit=2) == ["r3", "r2"]


def test_a_run_tells_how_long_its_log_is(db: Database):
    make_run(db)
    for _ in range(3):
        call(db, events.create_event, "r", NewEvent("agentensor_trainer", "x"))
    assert call(db, runs.read_run, "r").last_seq == 3


def test_a_workflow_keeps_what_it_is_told(db: Database):
    call(db, workflows.create_workflow, "w", {"rubric": "a", "limits": {"x": 1}})
    call(db, workflows.create_workflow, "w")
    call(db, workflows.create_workflow, "w", {"rubric": "b"})
    assert call(db, workflows.read_workflow, "w") == {"rubric": "b", "limits": {"x": 1}}
    assert call(db, workflows.read_workflow, "absent") is None
    assert call(db, workflows.read_workflow_ids) == ["w"]
