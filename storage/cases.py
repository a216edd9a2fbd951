"""Candidates of a run, with what was decided about each.

Case results: one row per run, candidate, case and repeat.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, delete, func, or_, select, update
from sqlalchemy.orm import Session

from cornerman.domain.money import pico_to_usd, usd_to_pico
from cornerman.domain.training.candidates import Candidate, Prompt
from cornerman.domain.training.cases import Case, CaseError, CaseResult, Score
from cornerman.storage.database.types import insert_once, now
from cornerman.storage.tables import candidates
from cornerman.storage.tables import case_results as table


def create_candidate(session: Session, run_id: str, candidate: Candidate) -> None:
    """Store a candidate; one that is there already stays as it is."""
    values = {
        "run_id": run_id,
        "id": candidate.id,
        "parent_id": candidate.parent_id,
        "epoch": candidate.epoch,
        "origin": candidate.origin,
        "prompts": {name: prompt.model_dump() for name, prompt in candidate.prompts.items()},
        "created_at": now(),
    }
    insert_once(session, candidates, values)


def update_candidate_decision(
    session: Session, run_id: str, candidate_id: str, decision: dict[str, Any]
) -> None:
    """Keep whether the candidate was accepted, and why."""
    session.execute(
        update(candidates)
        .where(candidates.c.run_id == run_id, candidates.c.id == candidate_id)
        .values(decision=decision)
    )


def read_candidates(session: Session, run_id: str) -> list[tuple[Candidate, dict[str, Any] | None]]:
    """Candidates with their decisions, in the order in which they were stored."""
    query = (
        select(candidates)
        .where(candidates.c.run_id == run_id)
        # Epochs first: a clock may be set back.
        .order_by(candidates.c.epoch, candidates.c.created_at, candidates.c.id)
    )
    return [
        (
            Candidate(
                id=row.id,
                prompts={name: Prompt.model_validate(p) for name, p in row.prompts.items()},
                parent_id=row.parent_id,
                epoch=row.epoch,
                origin=row.origin,
            ),
            row.decision,
        )
        for row in session.execute(query)
    ]


def create_case_result(session: Session, run_id: str, result: CaseResult) -> bool:
    """Store a finished case; False when this case of this candidate is stored already."""
    values = {
        "run_id": run_id,
        "candidate_id": result.candidate_id,
        "case_id": result.case.id,
        "repeat": result.repeat,
        "case_index": result.case.index,
        "split": result.split,
        "epoch": result.epoch,
        "status": result.status,
        "inputs": result.case.inputs,
        "expected_output": result.case.expected_output,
        "output": result.output,
        "evaluations": {name: score.as_dict() for name, score in result.evaluations.items()},
        "score": result.score,
        "error": None if result.error is None else asdict(result.error),
        "duration_ms": result.duration_ms,
        "cost_pico": usd_to_pico(result.cost_usd),
        "model_calls": result.model_calls,
        "attempts": result.attempts,
        "finish_reason": result.finish_reason,
        "created_at": now(),
    }
    return insert_once(session, table, values)


def _record(row: Row[Any]) -> CaseResult:
    return CaseResult(
        case=Case(
            id=row.case_id,
            index=row.case_index,
            inputs=row.inputs or {},
            expected_output=row.expected_output,
        ),
        candidate_id=row.candidate_id,
        split=row.split,
        epoch=row.epoch,
        status=row.status,
        score=row.score,
        output=row.output,
        evaluations={
            name: Score(value["score"], value["reason"]) for name, value in row.evaluations.items()
        },
        error=None if row.error is None else CaseError(**row.error),
        duration_ms=row.duration_ms,
        cost_usd=pico_to_usd(row.cost_pico),
        model_calls=row.model_calls,
        attempts=row.attempts,
        finish_reason=row.finish_reason,
        repeat=row.repeat,
    )


def read_case_results(
    session: Session, run_id: str, *, candidate_id: str | None = None
) -> list[CaseResult]:
    """Stored results of a run, or of one candidate in it, in the order of the dataset."""
    query = select(table).where(table.c.run_id == run_id)
    if candidate_id is not None:
        query = query.where(table.c.candidate_id == candidate_id)
    query = query.order_by(table.c.candidate_id, table.c.case_index, table.c.repeat)
    return [_record(row) for row in session.execute(query)]


def read_case_result(
    session: Session, run_id: str, *, candidate_id: str, case_id: str, repeat: int
) -> CaseResult | None:
    """One stored result; None while the case has not ended."""
    query = select(table).where(
        table.c.run_id == run_id,
        table.c.candidate_id == candidate_id,
        table.c.case_id == case_id,
        table.c.repeat == repeat,
    )
    row = session.execute(query).one_or_none()
    return None if row is None else _record(row)


def delete_errored_results(session: Session, run_id: str, *, after_epoch: int) -> int:
    """Forget errored cases that no completed epoch has counted, so that they are run again.

    Args:
        after_epoch: The last completed epoch; the test split belongs to none.
    """
    uncounted = or_(table.c.epoch > after_epoch, table.c.split == "test")
    done = session.execute(
        delete(table).where(table.c.run_id == run_id, table.c.status == "errored", uncounted)
    )
    return int(getattr(done, "rowcount", 0))


def count_case_statuses(session: Session, run_id: str) -> dict[str, int]:
    """How many case results of a run are `scored`, `timed_out`, `errored`."""
    query = (
        select(table.c.status, func.count())
        .where(table.c.run_id == run_id)
        .group_by(table.c.status)
    )
    counts = {"scored": 0, "timed_out": 0, "errored": 0}
    return counts | {row[0]: row[1] for row in session.execute(query)}
