"""Starting and ending runs whose rows are stored."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from cornerman.domain.errors import CornermanError
from cornerman.domain.runs import Run, RunKind
from cornerman.flows.plumbing.processes import end_owner
from cornerman.runner import deployed, launches
from cornerman.runner.launches import Launch, LaunchFolder
from cornerman.settings import Settings
from cornerman.storage import ledger, runs
from cornerman.storage.database import Database

_LONGEST_START = timedelta(minutes=1)


async def start_run(
    db: Database,
    kind: RunKind,
    parameters: dict[str, Any],
    run_id: str,
    *,
    settings: Settings,
) -> None:
    """Start work on a stored, pending run. Returns once it is on its way, not when it ends.

    Args:
        parameters: Of the kind's flow, as JSON, without `run_id`.

    Raises:
        CornermanError: It cannot be started; the run is stored as failed.
    """
    try:
        if settings.prefect_api_url:
            await asyncio.to_thread(
                deployed.create_flow_run, settings.prefect_api_url, kind, parameters, run_id
            )
        else:
            folder = LaunchFolder(settings.home)
            launch = Launch(run_id=run_id, kind=kind, parameters=parameters)
            await asyncio.to_thread(launches.start_process, folder, launch)
    except (CornermanError, OSError) as error:
        await db.write(finish_unstarted, run_id, error_facts(error))
        raise


async def cancel_run(db: Database, run_id: str, *, settings: Settings) -> Run:
    """Ask a run to end. One that waits for its process or worker ends here and now.

    Raises:
        NotFoundError: There is no such run.
    """
    before = await db.read(runs.read_run, run_id)
    run = await db.write(runs.request_cancel, run_id)
    if run.finished and before is not None and not before.finished and before.owner is not None:
        # Its process has been silent for long: whatever holds it up would go on for ever.
        await asyncio.to_thread(end_owner, before.owner)
    if run.status != "pending":
        return run
    # No flow listens yet, and one that begins after the run's end would resume it.
    if settings.prefect_api_url:
        url = settings.prefect_api_url
        ended = await asyncio.to_thread(deployed.cancel_flow_run, url, run_id)
    else:
        ended = await asyncio.to_thread(_end_process, LaunchFolder(settings.home), run)
    return await db.write(finish_cancelled, run_id) if ended else run


def _end_process(folder: LaunchFolder, run: Run) -> bool:
    """End a pending run's process; returns whether nobody will begin it any more."""
    if folder.read(run.id) is not None:
        return folder.kill(run.id)
    # Not started from here: somebody else may be about to begin, but not for ever.
    return datetime.now(UTC) - run.created_at > _LONGEST_START


def finish_cancelled(session: Any, run_id: str) -> Run:
    """End a run that nobody works on as cancelled, unless it has ended."""
    run = runs.read_run(session, run_id)
    assert run is not None
    if run.finished:
        return run
    ledger.settle_run_calls(session, run_id)
    return runs.finish_run(session, run_id, status="cancelled", stopped_by="cancelled")


def finish_unstarted(session: Any, run_id: str, error: dict[str, Any]) -> Run | None:
    """End a run that cannot be worked on as failed, unless it has ended."""
    run = runs.read_run(session, run_id)
    if run is None or run.finished:
        return run
    ledger.settle_run_calls(session, run_id)
    return runs.finish_run(session, run_id, status="failed", stopped_by="error", error=error)


def error_facts(error: Exception) -> dict[str, Any]:
    """What a run's row keeps of the error that ended it."""
    hint = error.hint if isinstance(error, CornermanError) else ""
    return {"type": type(error).__name__, "message": str(error), "hint": hint}
