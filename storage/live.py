"""The prompts that are in production: those of the workflow's best checkpoint."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from cornerman.domain.errors import NotFoundError
from cornerman.storage.checkpoints import read_best_checkpoint, read_best_moves


def nothing_live(workflow_id: str) -> NotFoundError:
    """The refusal where a workflow has no checkpoint yet."""
    return NotFoundError(
        f"Workflow {workflow_id!r} has no checkpoint, so no prompts are live.",
        field="workflow_id",
        hint="Train it first: cornerman train SPEC",
    )


def require_live_prompts(session: Session, workflow_id: str) -> dict[str, Any]:
    """As `read_live_prompts`.

    Raises:
        NotFoundError: Nothing was trained yet.
    """
    found = read_live_prompts(session, workflow_id)
    if found is None:
        raise nothing_live(workflow_id)
    return found


def read_live_prompts(session: Session, workflow_id: str) -> dict[str, Any] | None:
    """What `GET /api/workflows/{workflow}/prompts` answers; None where nothing was trained yet.

    The checkpoint's id names the answer: a checkpoint never changes.
    """
    best = read_best_checkpoint(session, workflow_id)
    if best is None:
        return None
    moves = [m for m in read_best_moves(session, workflow_id) if m["checkpoint_id"] == best.id]
    return {
        "workflow_id": workflow_id,
        "checkpoint_id": best.id,
        "config_version": best.config_version,
        "prompts": {name: prompt.model_dump(mode="json") for name, prompt in best.prompts.items()},
        "promoted_at": (moves[-1]["created_at"] if moves else best.created_at).isoformat(),
        "reason": moves[-1]["reason"] if moves else "",
    }
