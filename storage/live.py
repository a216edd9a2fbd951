"""The prompts that are in production: those of the workflow's best checkpoint."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from cornerman.storage.checkpoints import read_best_checkpoint, read_best_moves


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
