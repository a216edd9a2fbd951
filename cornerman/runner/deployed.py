"""A run as a flow run of a deployment on a Prefect server. Blocking: call it in a thread."""

from __future__ import annotations

from typing import Any

from cornerman.domain.errors import CornermanError
from cornerman.domain.runs import RunKind

DEPLOYMENTS: dict[RunKind, str] = {
    "train": "train-workflow/manual",
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
    return DeploymentError(
        f"The Prefect server at {api_url} did not take the run: {type(error).__name__}: {error}",
        hint="Check PREFECT_API_URL and that the server runs: cornerman doctor",
    )
