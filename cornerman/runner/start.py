"""A run as a flow run of a deployment on a Prefect server. Blocking: call it in a thread.

Starting and ending runs whose rows are stored.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from cornerman.domain.errors import CornermanError
from cornerman.domain.runs import Run, RunKind
from cornerman.flows.plumbing.processes import end_owner
from cornerman.runner import launches, start
from cornerman.runner.launches import Launch, LaunchFolder
from cornerman.settings import KEY_HINT, Settings
from cornerman.storage import ledger, runs
from cornerman.storage.database import Database

DEPLOYMENTS: dict[RunKind, str] = {
    "train": "train-workflow/manual",
    "evaluate": "evaluate-workflow/manual",
    "battle": "battle-batch/manual",
    "scout": "scout/manual",
}


class DeploymentError(CornermanError):
    """The Prefect server cannot start the run."""

    code = "prefect"


def create_flow_run(api_url: str, kind: RunKind, parameters: dict[str, Any], run_id: str) -> str:
    """Ask the server for a flow run and return its id; the same run id gives the same one.

    Raises:
        DeploymentError: The server cannot be reached or lacks the deployment.
    """
    # Imported here: Prefect takes seconds to import, and without a server it is not needed.
    from prefect.deployments import run_deployment
    from prefect.exceptions import ObjectNotFound
    from prefect.settings import PREFECT_API_URL, temporary_settings

    name = DEPLOYMENTS[kind]
    try:
        with temporary_settings(updates={PREFECT_API_URL: api_url}):
            flow_run: Any = run_deployment(
                name,
                parameters={"parameters": parameters | {"run_id": run_id}},
                timeout=0,
                flow_run_name=run_id,
                idempotency_key=run_id,
                as_subflow=False,
            )
    except ObjectNotFound as error:
        raise DeploymentError(
            f"The Prefect server at {api_url} has no deployment {name!r}.",
            hint="Type: cornerman deploy",
        ) from error
    except Exception as error:
        # httpx's many ways to fail, and Prefect's own wrapping of them.
        raise _unreachable(api_url, error) from error
    return str(flow_run.id)


def cancel_flow_run(api_url: str, run_id: str) -> bool:
    """Cancel the run's flow run if no worker has taken it yet; returns whether it was cancelled."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
    from prefect.settings import PREFECT_API_URL, temporary_settings
    from prefect.states import Cancelled

    try:
        with temporary_settings(updates={PREFECT_API_URL: api_url}):
            client = get_client(sync_client=True)
            wanted = FlowRunFilter(name=FlowRunFilterName(any_=[run_id]))
            found = client.read_flow_runs(flow_run_filter=wanted)
            waiting = [r for r in found if r.state is not None and r.state.is_scheduled()]
            for flow_run in waiting:
                client.set_flow_run_state(flow_run.id, Cancelled(), force=True)
    except Exception as error:
        raise _unreachable(api_url, error) from error
    return bool(waiting) and len(waiting) == len(found)


def is_healthy(api_url: str) -> bool:
    """Whether the server answers."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings(updates={PREFECT_API_URL: api_url}):
        client = get_client(sync_client=True)
        return client.api_healthcheck() is None


def _unreachable(api_url: str, error: Exception) -> DeploymentError:
    if getattr(getattr(error, "response", None), "status_code", 0) == HTTPStatus.UNAUTHORIZED:
        return DeploymentError(f"The Prefect server at {api_url} asks for its key.", hint=KEY_HINT)
    return DeploymentError(
        f"The Prefect server at {api_url} did not take the run: {type(error).__name__}: {error}",
        hint="Check PREFECT_API_URL and that the server runs: cornerman doctor",
    )


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
                start.create_flow_run, settings.prefect_api_url, kind, parameters, run_id
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
        ended = await asyncio.to_thread(start.cancel_flow_run, url, run_id)
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
