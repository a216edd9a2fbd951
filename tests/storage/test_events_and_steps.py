"""Events, steps, candidates and cases: each stored once, read in order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cornerman.domain.errors import NotFoundError
from cornerman.domain.runs import NewEvent
from cornerman.domain.training.candidates import Candidate, Prompt
from cornerman.domain.training.cases import CaseError
from cornerman.storage import cases, events, steps
from cornerman.storage.database import Database
from tests.storage.samples import case_result, make_run


def event(key: str | None = None, **payload: Any) -> NewEvent:
    return NewEvent("agentensor_trainer", "training_progress", payload, key)


@pytest.fixture
def run(db: Database) -> Database:
    make_run(db)
    return db


def test_events_count_from_one_without_gaps_in_each_run(run: Database):
    make_run(run, "other")
    with run.writing() as session:
        seqs = [events.create_event(session, r, event()) for r in ("r", "other", "r", "r")]
    assert [e.seq for e in seqs if e] == [1, 1, 2, 3]


def test_an_event_of_the_same_key_is_not_written_again(run: Database):
    with run.writing() as session:
        first = events.create_event(session, "r", event("k", n=1))
        assert events.create_event(session, "r", event("k", n=2)) is None
        assert events.create_event(session, "r", event("l")) is not None
    with run.reading() as session:
        found = events.read_events(session, "r")
    assert found[0] == first
    assert [(e.seq, e.payload) for e in found] == [(1, {"n": 1}), (2, {})]


def test_a_key_is_unique_in_its_run_only(run: Database):
    make_run(run, "other")
    with run.writing() as session:
        assert events.create_event(session, "r", event("k"))
        assert events.create_event(session, "other", event("k"))


def test_an_undone_event_leaves_no_gap(run: Database):
    with pytest.raises(ValueError, match="undo"), run.writing() as session:
        events.create_event(session, "r", event("k"))
        raise ValueError("undo")
    with run.writing() as session:
        written = events.create_event(session, "r", event("k"))
    assert written is not None and written.seq == 1


def test_an_event_needs_its_run(db: Database):
    with pytest.raises(NotFoundError, match="no run 'absent'"), db.writing() as session:
        events.create_event(session, "absent", event())


def test_events_are_read_after_a_seq_up_to_a_limit(run: Database):
    with run.writing() as session:
        for n in range(10):
            events.create_event(session, "r", event(n=n))
    with run.reading() as session:
        assert [e.seq for e in events.read_events(session, "r", after=7)] == [8, 9, 10]
        assert [e.seq for e in events.read_events(session, "r", after=2, limit=2)] == [3, 4]
        assert events.read_events(session, "r", after=10) == []
        assert events.read_events(session, "absent") == []


def test_an_event_is_shown_as_readers_get_it(run: Database):
    with run.writing() as session:
        written = events.create_event(session, "r", event(a=1))
    assert written is not None
    assert list(written.as_dict()) == ["seq", "node", "event", "payload", "created_at"]
    assert written.as_dict()["created_at"].endswith("+00:00")


def test_the_first_result_of_a_step_stands(run: Database):
    with run.writing() as session:
        assert steps.read_step(session, "r", "k") is None
        assert steps.create_step(session, "r", "k", {"prompts": ["a"]}) == {"prompts": ["a"]}
        assert steps.create_step(session, "r", "k", {"prompts": ["b"]}) == {"prompts": ["a"]}
        steps.create_step(session, "r", "l", {})
        assert steps.read_steps(session, "r") == {"k": {"prompts": ["a"]}, "l": {}}


def test_a_step_is_returned_as_a_resumed_run_will_read_it(run: Database):
    with run.writing() as session:
        stored = steps.create_step(session, "r", "k", {"t": (1, float("nan")), 2: "x"})
        assert stored == {"t": [1, None], "2": "x"} == steps.read_step(session, "r", "k")


def candidate(name: str, epoch: int = 1, text: str = "Be kind.") -> Candidate:
    prompts = {"system": Prompt(text=text, requires_grad=True), "a": Prompt(text="x")}
    return Candidate(id=name, prompts=prompts, epoch=epoch, parent_id="c0", origin="why")


def test_candidates_are_stored_once_and_read_by_epoch(run: Database):
    with run.writing() as session:
        for made in (candidate("c2-1", 2), candidate("c0"), candidate("c2-2", 2)):
            cases.create_candidate(session, "r", made)
        cases.create_candidate(session, "r", candidate("c0", text="Another."))
        cases.update_candidate_decision(session, "r", "c2-1", {"accepted": True})
    with run.reading() as session:
        found = cases.read_candidates(session, "r")
    assert [c.id for c, _ in found] == ["c0", "c2-1", "c2-2"]
    assert found[0] == (candidate("c0"), None)
    assert list(found[0][0].prompts) == ["system", "a"]
    assert found[1][1] == {"accepted": True}


def test_a_case_is_stored_once_per_candidate_and_repeat(run: Database):
    with run.writing() as session:
        assert cases.create_case_result(session, "r", case_result())
        assert not cases.create_case_result(session, "r", case_result(score=0.0))
        assert cases.create_case_result(session, "r", case_result(candidate_id="c1"))
        assert cases.create_case_result(session, "r", case_result(repeat=1))
    with run.reading() as session:
        found = cases.read_case_results(session, "r", candidate_id="c0")
    assert [(r.repeat, r.score) for r in found] == [(0, 1.0), (1, 1.0)]


def test_a_case_comes_back_as_it_was(run: Database):
    error = CaseError("LLMError", "no answer", "stack", retryable=True)
    scored = case_result("a", output={"z": 1, "a": [2]}, cost_usd=0.000123, model_calls=2)
    errored = case_result("b", status="errored", score=None, evaluations={}, error=error)
    errored = replace(errored, attempts=3, duration_ms=12.5)
    with run.writing() as session:
        for result in (scored, errored):
            cases.create_case_result(session, "r", result)
    with run.reading() as session:
        assert cases.read_case_results(session, "r") == [scored, errored]
        counts = {"scored": 1, "timed_out": 0, "errored": 1}
        assert cases.count_case_statuses(session, "r") == counts
        assert cases.read_case_results(session, "absent") == []


def test_the_first_cached_answer_stands(db: Database):
    with db.writing() as session:
        steps.create_cached_answer(session, "k", "first")
        steps.create_cached_answer(session, "k", "second")
        assert steps.read_cached_answer(session, "k") == "first"
        assert steps.read_cached_answer(session, "l") is None


def test_answers_are_found_by_many_keys_and_replaced_by_one(db: Database):
    keys = [f"k{n}" for n in range(1_200)]
    with db.writing() as session:
        for key in (keys[0], keys[-1]):
            steps.replace_cached_answer(session, key, "first")
        steps.replace_cached_answer(session, keys[0], "second")
        found = steps.read_cached_answers(session, keys)
    assert found == {"k0": "second", "k1199": "first"}
