"""Rows to store in tests."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert

from cornerman.domain.money.ledger import CallEstimate, CallScope
from cornerman.domain.training.candidates import NewCheckpoint
from cornerman.domain.training.cases import Case, CaseResult, Score
from cornerman.storage import runs, workflows
from cornerman.storage.database import Database
from cornerman.storage.database.types import now
from cornerman.storage.tables import metadata

USD = 10**12


def new_checkpoint(
    checkpoint_id: str,
    *,
    workflow_id: str = "w",
    score: float | None = None,
    run_id: str = "r",
    fingerprint: str = "f",
) -> NewCheckpoint:
    return NewCheckpoint(
        id=checkpoint_id,
        workflow_id=workflow_id,
        runnable_config={"prompts": {"system": {"text": f"prompt of {checkpoint_id}"}}},
        metrics={"validation_score": score},
        metadata={"run_id": run_id, "dataset_fingerprint": fingerprint},
    )


def case_result(case_id: str = "1", *, candidate_id: str = "c0", **values: Any) -> CaseResult:
    given = {"status": "scored", "score": 1.0, "evaluations": {"exact": Score(1.0, "equal")}}
    case = Case(case_id, 0, {"question": "2 + 2"}, "4")
    return CaseResult(case, candidate_id, "train", 1, **(given | values))


def scope(budgets: dict[str, int] | None = None, *, run_id: str = "r", subject: str = "") -> Any:
    return CallScope(run_id, subject, budgets or {}, simulated=True)


def estimate(worst_cost_pico: int = 0) -> CallEstimate:
    return CallEstimate("agent", "model", 1, worst_cost_pico)


def make_run(db: Database, run_id: str = "r", *, workflow_id: str = "w", **values: Any) -> None:
    given = {"kind": "train", "request": {}, "random_state": {}, "simulated": True} | values
    with db.writing() as session:
        workflows.create_workflow(session, workflow_id)
        runs.create_run(session, run_id=run_id, workflow_id=workflow_id, **given)


# Values by name where any value of the column's type would not do.
_IDS = {"run_id": "r", "batch_id": "r", "workflow_id": "w", "battle_id": "b-1"}
_ROW_IDS = {"workflows": "w", "runs": "r", "sandbox_battles": "b-1"}


def _value(table: str, column: Any) -> Any:
    if column.name in _IDS:
        return _IDS[column.name]
    if column.name == "id" and column.type.python_type is str:
        return _ROW_IDS.get(table, "cp-1")
    kind = type(column.type).__name__
    made: dict[str, Any] = {
        "Json": {"a": [1]},
        "Jsonb": {"a": [1]},
        "Timestamp": now(),
        "Flag": True,
    }
    return made.get(kind, 1.0 if kind == "Float" else 1 if "Int" in kind else "text")


def fill_every_table(db: Database) -> None:
    """One row in each table, every column set."""
    with db.writing() as session:
        for table in metadata.sorted_tables:
            columns = [c for c in table.columns if c.autoincrement is not True]
            row = {column.name: _value(table.name, column) for column in columns}
            session.execute(insert(table).values(row))
