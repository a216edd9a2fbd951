"""Pruning: what goes, what stays, and that the sums stay true."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from cornerman.domain.errors import ConflictError
from cornerman.domain.money.ledger import CallOutcome
from cornerman.domain.runs import NewEvent, RunStatus
from cornerman.storage import cases, checkpoints, events, ledger, prune, run_reads, runs
from cornerman.storage.database import Database
from cornerman.storage.database.types import now
from cornerman.storage.tables import metadata
from cornerman.storage.tables import runs as runs_table
from tests.storage.samples import (
    case_result,
    estimate,
    fill_every_table,
    make_run,
    new_checkpoint,
    scope,
)


def work(db: Database, run_id: str, *, status: RunStatus = "completed", days_ago: int = 40) -> None:
    """A run with an event, a case, two calls, a checkpoint, and an end."""
    make_run(db, run_id)
    with db.writing() as session:
        events.create_event(session, run_id, NewEvent("agentensor_trainer", "training_progress"))
        cases.create_case_result(session, run_id, case_result())
        for outcome, cost in (("ok", 300), ("error", 5)):
            call = ledger.reserve_call(session, scope(run_id=run_id), estimate(500))
            settled = CallOutcome(outcome, cost_pico=cost, input_tokens=7, output_tokens=2)
            ledger.settle_call(session, str(call), settled)
        checkpoints.create_checkpoint(session, new_checkpoint(f"cp-{run_id}", score=0.5))
        result = {"results": [{"output": "x"}], "score": 0.5}
        runs.finish_run(session, run_id, status=status, result=result)
        ended = now() - timedelta(days=days_ago)
        where = runs_table.c.id == run_id
        session.execute(update(runs_table).where(where).values(finished_at=ended))


def prune_all(db: Database, days: int = 30) -> prune.Pruned:
    total = prune.Pruned()
    with db.writing() as session:
        for run_id in prune.read_prunable_ids(session, now() - timedelta(days=days)):
            total += prune.prune_run(session, run_id)
    return total


def count(db: Database) -> dict[str, int]:
    with db.reading() as session:
        return {
            table.name: session.execute(select(func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
        }


def figures(db: Database, run_id: str) -> tuple[object, ...]:
    with db.reading() as session:
        totals = run_reads.read_totals(session)
        return (
            ledger.read_run_cost_pico(session, run_id),
            ledger.count_run_calls(session, run_id),
            ledger.read_ledger_summary(session, run_id),
            totals.cost_pico,
            totals.calls,
        )


def test_what_a_run_cost_is_the_same_after_pruning(db: Database) -> None:
    work(db, "old")
    before = figures(db, "old")
    gone = prune_all(db)
    assert gone == prune.Pruned(events=1, case_results=1, llm_calls=2)
    assert figures(db, "old") == before
    assert count(db)["llm_calls"] == 0


def test_young_runs_and_those_that_go_on_are_left_alone(db: Database) -> None:
    work(db, "young", days_ago=3)
    make_run(db, "going")
    assert prune_all(db) == prune.Pruned()
    assert count(db)["events"] == 1


def test_a_dry_run_counts_what_pruning_then_deletes(db: Database) -> None:
    work(db, "old")
    with db.reading() as session:
        counted = prune.count_prunable(session, "old")
    assert count(db)["events"] == 1
    assert prune_all(db) == counted


def test_a_run_is_pruned_once(db: Database) -> None:
    work(db, "old")
    prune_all(db)
    with db.reading() as session:
        assert prune.read_prunable_ids(session, now()) == []


def test_checkpoints_and_the_result_s_figures_stay(db: Database) -> None:
    work(db, "old")
    prune_all(db)
    with db.reading() as session:
        assert checkpoints.read_checkpoint(session, "w", "cp-old") is not None
        run = runs.read_run(session, "old")
    assert run is not None and run.result == {"results": [], "score": 0.5}


def test_of_everything_else_nothing_goes(db: Database) -> None:
    fill_every_table(db)
    with db.writing() as session:
        ended = {"status": "completed", "finished_at": now() - timedelta(days=99), "metrics": {}}
        session.execute(update(runs_table).values(ended))
    before = count(db)
    prune_all(db)
    after = count(db)
    gone = {name for name in before if after[name] < before[name]}
    assert gone == {
        "events",
        "case_results",
        "run_steps",
        "battle_turns",
        "llm_calls",
        "call_traces",
    }


def test_a_pruned_run_cannot_go_on(db: Database) -> None:
    work(db, "old", status="stopped")
    prune_all(db)
    with db.writing() as session, pytest.raises(ConflictError, match="was pruned"):
        runs.claim_run(session, "old", "me")


def test_the_command_prunes_and_says_what(tmp_path, sqlite_db: Database, cornerman) -> None:
    work(sqlite_db, "old")
    env = {"USE_LOCAL_DB": "true", "LOCAL_DB_URL": str(sqlite_db.engine.url)}
    options = ("db", "prune", "--older-than", "30", "--json")
    planned = json.loads(cornerman(*options, "--dry-run", env=env).stdout)
    assert (planned["dry_run"], planned["runs"], planned["rows"]["events"]) == (True, 1, 1)
    done = json.loads(cornerman(*options, env=env).stdout)
    assert done["rows"] == planned["rows"]
    again = json.loads(cornerman(*options, env=env).stdout)
    assert (again["runs"], set(again["rows"].values())) == (0, {0})
