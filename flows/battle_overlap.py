"""One batch at a time; and what becomes of a batch whose process died."""

from __future__ import annotations

from typing import Any

from cornerman.storage import battles, ledger, runs
from cornerman.tasks.battle import end_battle

from cornerman.domain.errors import ConflictError

_DIED = "The process that held it died; go on with: cornerman battle --resume {}"


def refuse_overlap(session: Any, mine: str | None) -> None:
    """Refuse a batch beside another one, and end those whose process died.

    Raises:
        ConflictError: Another batch runs, or waits for its worker.
    """
    for other in runs.read_runs(session, kind="battle", active=True):
        if other.id == mine:
            continue
        if runs.goes_on(other):
            raise ConflictError(
                f"A batch is running already: {other.id}.",
                existing_id=other.id,
                hint=f"Wait for it, or end it with: cornerman runs cancel {other.id}",
            )
        end_dead_batch(session, other.id)


def end_dead_batch(session: Any, batch_id: str) -> None:
    """Book what was in flight, close the battles and end the run; it can still be continued."""
    ledger.settle_run_calls(session, batch_id)
    died = _DIED.format(batch_id)
    for battle in battles.read_battles(session, batch_id=batch_id):
        if battle.status in ("pending", "running"):
            closed = battle.model_copy(update={"status": "cancelled", "error": died})
            end_battle(session, batch_id, closed)
    error = {"type": "ProcessDied", "message": died, "hint": ""}
    runs.finish_run(session, batch_id, status="failed", stopped_by="error", error=error)
