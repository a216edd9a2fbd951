"""Candidates of a run, with what was decided about each."""

from __future__ import annotations

from typing import Any

from cornerman.storage.clock import now
from cornerman.storage.rows import insert_once
from cornerman.storage.tables import candidates
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from cornerman.domain.candidates import Candidate, Prompt


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
