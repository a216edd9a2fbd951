"""`cornerman deploy` against a real Prefect server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.settings import PREFECT_API_URL

from cornerman.deployments import deploy
from cornerman.deployments.automations import PAUSE, RESUME
from cornerman.deployments.prefect_api import PrefectServerError, is_on_postgresql, server_client
from cornerman.domain.errors import CornermanError
from cornerman.settings import load_settings


@pytest.fixture(scope="module")
def api_url(prefect_harness: None) -> str:
    return str(PREFECT_API_URL.value())


@pytest.fixture
def client(api_url: str) -> Iterator[SyncPrefectClient]:
    with server_client(api_url) as held:
        yield held


def deployed(api_url: str) -> dict[str, Any]:
    return deploy.deploy(load_settings(), api_url=api_url)


def test_a_second_deploy_changes_nothing(api_url: str, client: SyncPrefectClient) -> None:
    deployed(api_url)
    name = "battle-batch/every-30-minutes"
    before = client.read_deployment_by_name(name)
    again = deployed(api_url)
    assert {*again["deployments"].values(), *again["automations"].values()} == {"unchanged"}
    assert client.read_deployment_by_name(name).updated == before.updated


def test_deployments_are_as_the_manifest_says(api_url: str, client: SyncPrefectClient) -> None:
    deployed(api_url)
    batch = client.read_deployment_by_name("battle-batch/every-30-minutes")
    assert batch.entrypoint == "cornerman.flows.battle.battle_batch"
    assert batch.work_pool_name == "cornerman"
    assert [s.schedule.cron for s in batch.schedules] == ["*/30 * * * *"]  # type: ignore[union-attr]
    assert batch.schedules[0].schedule.timezone == "UTC"  # type: ignore[union-attr]
    assert batch.concurrency_options is not None
    assert batch.concurrency_options.collision_strategy == "CANCEL_NEW"
    assert batch.global_concurrency_limit is not None
    assert batch.global_concurrency_limit.limit == 1
    assert batch.enforce_parameter_schema


@pytest.mark.parametrize(
    ("name", "minutes"),
    [
        ("battle-batch/every-30-minutes", {0, 30}),
        ("scout/hourly", {7}),
        ("retrain/nightly", {17}),
    ],
)
def test_the_server_puts_runs_into_the_slots_of_a_schedule(
    api_url: str, client: SyncPrefectClient, name: str, minutes: set[int]
) -> None:
    deployed(api_url)
    deployment = client.read_deployment_by_name(name)
    # What the scheduler's service does every few seconds.
    client.request(
        "POST", "/deployments/{id}/schedule", path_params={"id": deployment.id}, json={}
    ).raise_for_status()
    mine = DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id]))
    made = client.read_flow_runs(deployment_filter=mine)
    assert len(made) >= 3
    assert {run.expected_start_time.minute for run in made} <= minutes  # type: ignore[union-attr]
    assert all(run.auto_scheduled for run in made)


def test_battle_cron_reaches_the_server(
    api_url: str, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed(api_url)
    monkeypatch.setenv("BATTLE_CRON", "5 4 * * *")
    done = deployed(api_url)["deployments"]
    assert [name for name, what in done.items() if what == "updated"] == [
        "battle-batch/every-30-minutes"
    ]
    batch = client.read_deployment_by_name("battle-batch/every-30-minutes")
    assert [s.schedule.cron for s in batch.schedules] == ["5 4 * * *"]  # type: ignore[union-attr]


def test_a_server_on_sqlite_gets_no_limits_and_loses_those_it_has(
    api_url: str, client: SyncPrefectClient
) -> None:
    assert not is_on_postgresql(client)
    client.create_concurrency_limit(tag="agent-case", concurrency_limit=8)
    done = deployed(api_url)
    assert done["limits"] == {}
    assert "leases" in done["limits_held_by"]
    assert deploy._read(client, "agent-case") is None


def test_a_server_on_postgresql_gets_limits(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy, "is_on_postgresql", lambda _: True)
    monkeypatch.setenv("MAX_CONCURRENT_CASES", "20")
    monkeypatch.setenv("MAX_CONCURRENT_BATTLES", "4")
    for _ in range(2):
        report = deploy.apply_limits(client, load_settings())
    assert report.tags == {"agent-case": 20, "battle": 4}
    assert deploy._read(client, "battle") == 4
    for tag in report.tags:
        client.delete_concurrency_limit_by_tag(tag)


def test_the_automations_pause_and_resume_what_has_a_schedule(
    api_url: str, client: SyncPrefectClient
) -> None:
    deployed(api_url)
    scheduled = {
        client.read_deployment_by_name(name).id
        for name in ("battle-batch/every-30-minutes", "scout/hourly", "retrain/nightly")
    }
    for name, kind in ((PAUSE, "pause-deployment"), (RESUME, "resume-deployment")):
        [automation] = client.read_automations_by_name(name)
        assert {action.type for action in automation.actions} == {kind}
        assert {action.deployment_id for action in automation.actions} == scheduled  # type: ignore[union-attr]


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(PrefectServerError, match="does not answer") as refused:
        deploy.deploy(load_settings(), api_url="http://127.0.0.1:9/api")
    assert "PREFECT_API_URL" in refused.value.hint


def test_without_a_server_it_is_said_what_to_set() -> None:
    with pytest.raises(CornermanError, match="PREFECT_API_URL is not set"):
        deploy.deploy(load_settings())


def test_deployments_of_an_earlier_version_get_the_present_names(
    client: SyncPrefectClient, api_url: str
) -> None:
    deploy.deploy(load_settings(), api_url=api_url)
    there = client.read_deployment_by_name("train-workflow/manual")
    former = DeploymentUpdate(entrypoint="flows.train.train_workflow")
    client.update_deployment(there.id, former)
    assert deploy.renew_entrypoints(client) == 1
    renewed = client.read_deployment_by_name("train-workflow/manual")
    assert renewed.entrypoint == "cornerman.flows.train.train_workflow"
    assert (renewed.tags, renewed.parameters) == (there.tags, there.parameters)
