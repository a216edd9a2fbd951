"""Runs as flow runs of deployments, on a real Prefect server."""

from __future__ import annotations

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL

from cornerman.runner import start
from cornerman.runner.start import DeploymentError


@pytest.fixture
def api_url(prefect_harness: None) -> str:
    return str(PREFECT_API_URL.value())


def _deploy() -> None:
    client = get_client(sync_client=True)
    flow_id = client.create_flow_from_name("train-workflow")
    client.create_deployment(flow_id=flow_id, name="manual", enforce_parameter_schema=False)


def _forget_deployments() -> None:
    """The session's tests share one server, and some of them deploy everything."""
    client = get_client(sync_client=True)
    for deployment in client.read_deployments():
        client.delete_deployment(deployment.id)


def test_a_missing_deployment_is_said_with_what_to_type(api_url: str) -> None:
    _forget_deployments()
    with pytest.raises(DeploymentError, match="battle-batch/manual") as refused:
        start.create_flow_run(api_url, "battle", {}, "batch-1")
    assert refused.value.hint == "Type: cornerman deploy"


def test_a_run_is_one_flow_run_however_often_it_is_started(api_url: str) -> None:
    _deploy()
    first = start.create_flow_run(api_url, "train", {"workflow_id": "w"}, "run-1")
    assert start.create_flow_run(api_url, "train", {"workflow_id": "w"}, "run-1") == first
    flow_run = get_client(sync_client=True).read_flow_run(first)
    assert flow_run.parameters == {"parameters": {"workflow_id": "w", "run_id": "run-1"}}
    assert flow_run.name == "run-1"


def test_a_waiting_flow_run_is_cancelled_before_a_worker_takes_it(api_url: str) -> None:
    _deploy()
    created = start.create_flow_run(api_url, "train", {}, "run-2")
    assert start.cancel_flow_run(api_url, "run-2") is True
    state = get_client(sync_client=True).read_flow_run(created).state
    assert state is not None and state.is_cancelled()
    assert start.cancel_flow_run(api_url, "run-2") is False
    assert start.cancel_flow_run(api_url, "no-such-run") is False


def test_health_follows_the_server(api_url: str) -> None:
    assert start.is_healthy(api_url) is True
    assert start.is_healthy("http://127.0.0.1:9/api") is False
