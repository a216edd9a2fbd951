"""Values come back alike from both databases, whatever a model or a user wrote."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from cornerman.domain.runs import NewEvent
from cornerman.domain.training.cases import CaseError
from cornerman.storage import budgets, cases, checkpoints, events, runs, steps
from cornerman.storage.database import Database, types
from cornerman.storage.database.types import TOO_DEEP, Timestamp, plain_json
from tests.storage.samples import case_result, make_run, new_checkpoint


def through(db: Database, value: Any) -> Any:
    """Store a value in a JSON document and read it again."""
    make_run(db)
    with db.writing() as session:
        steps.create_step(session, "r", "k", {"value": value})
    with db.reading() as session:
        return (steps.read_step(session, "r", "k") or {})["value"]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("nul\x00byte", "nul\ufffdbyte"),
        ("half \ud83d of a pair", "half ? of a pair"),
        ("😀 ünï", "😀 ünï"),
        ({"ke\x00y": 1, 2: "two"}, {"ke\ufffdy": 1, "2": "two"}),
        ([float("nan"), float("inf"), -0.5, 1e300], [None, None, -0.5, 1e300]),
        ({"a": None, "b": [None]}, {"a": None, "b": [None]}),
        ((1, 2), [1, 2]),
        (2**63 + 1, 2**63 + 1),
        (10**5000, "(an integer of 16610 bits)"),
        (True, True),
        (datetime(2026, 1, 31), "2026-01-31 00:00:00"),
    ],
    ids=[
        "nul",
        "surrogate",
        "unicode",
        "keys",
        "floats",
        "null",
        "tuple",
        "int64",
        "huge",
        "bool",
        "other",
    ],
)
def test_a_document_comes_back(db: Database, given: Any, read: Any):
    assert through(db, given) == read


def test_a_megabyte_comes_back(db: Database):
    text = "0123456789abcde\n" * 65_536
    assert through(db, text) == text


def test_a_documents_keys_keep_their_order(db: Database):
    value = {"zeta": 1, "a": 2, "middle": {"y": 1, "b": 2}}
    assert json.dumps(through(db, value)) == json.dumps(value)


def test_deep_nesting_is_cut_off_instead_of_losing_the_row(db: Database):
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    found = through(db, deep)
    assert json.dumps(found).endswith(f'"{TOO_DEEP}"' + "]" * 199)


def test_no_output_is_told_from_an_empty_one(db: Database):
    make_run(db)
    with db.writing() as session:
        for case_id, output in [("a", None), ("b", ""), ("c", {}), ("d", 0), ("e", [None])]:
            cases.create_case_result(session, "r", case_result(case_id, output=output))
    with db.reading() as session:
        found = {r.case.id: r.output for r in cases.read_case_results(session, "r")}
    assert found == {"a": None, "b": "", "c": {}, "d": 0, "e": [None]}


def test_a_stack_with_odd_characters_is_kept(db: Database):
    make_run(db)
    error = CaseError("ValueError", "bad \x00 \ud800", "stack")
    with db.writing() as session:
        result = case_result(status="errored", score=None, error=error)
        assert cases.create_case_result(session, "r", result)
    with db.reading() as session:
        (found,) = cases.read_case_results(session, "r")
    assert found.error == CaseError("ValueError", "bad \ufffd ?", "stack")


def test_odd_text_in_columns_of_text_is_kept(db: Database):
    with db.writing() as session:
        budgets.create_kill_switch_state(session, active=True, reason="\x00\udc00", by="me")
    with db.reading() as session:
        assert budgets.read_kill_switch(session).reason == "\ufffd?"


def test_times_are_aware_and_utc(db: Database, monkeypatch: pytest.MonkeyPatch):
    elsewhere = datetime(2026, 1, 31, 23, 30, 0, 5, tzinfo=timezone(timedelta(hours=-5)))
    monkeypatch.setattr(runs, "now", lambda: elsewhere)
    make_run(db)
    with db.reading() as session:
        run = runs.read_run(session, "r")
    assert run is not None and run.created_at == elsewhere
    assert run.created_at.isoformat() == "2026-02-01T04:30:00.000005+00:00"
    assert types.now().tzinfo is UTC


def test_times_as_text_sort_as_times(sqlite_db: Database):
    whole, later = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
    dialect = sqlite_db.engine.dialect
    texts = [Timestamp().process_bind_param(t, dialect) for t in (whole, later)]
    assert texts == sorted(texts)


def test_an_event_and_a_checkpoint_take_odd_values(db: Database):
    make_run(db)
    payload = {"output": "\x00", "score": float("nan")}
    with db.writing() as session:
        events.create_event(session, "r", NewEvent("agentensor_trainer", "x", payload))
        stored, _ = checkpoints.create_checkpoint(session, new_checkpoint("odd\x20id"))
    with db.reading() as session:
        assert events.read_events(session, "r")[0].payload == {"output": "\ufffd", "score": None}
        assert checkpoints.read_checkpoint(session, "w", "odd id") == stored


def test_plain_values_are_not_changed():
    value = {"a": [1, 2.5, "x", None, True, {"b": "ü"}]}
    assert plain_json(value) == value
