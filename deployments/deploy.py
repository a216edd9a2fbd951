"""Limits by tag on the Prefect server: they hold several runs and several machines together.

On SQLite they are not made, for there they serialize everything: 64 cases of a second take 64 to
87 s in place of 8. The leases in Cornerman's own database hold the same number either way.

`cornerman deploy`: have the Prefect server know everything of `prefect.yaml`. Idempotent.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import (
    DeploymentScheduleCreate,
    DeploymentUpdate,
    WorkPoolCreate,
)
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from cornerman.deployments.automations import apply_automations, kill_switch_automations
from cornerman.deployments.manifest import DeploymentSpec, read_manifest
from cornerman.deployments.prefect_api import PrefectServerError, is_on_postgresql, server_client
from cornerman.settings import Settings, get_settings
from cornerman.tasks.slots import CASE_TAG

BATTLE_TAG = "battle"


@dataclass(frozen=True)
class LimitsReport:
    """What holds the limits, in words, and the limits by tag that the server now has."""

    held_by: str
    tags: dict[str, int]


def apply_limits(client: SyncPrefectClient, settings: Settings) -> LimitsReport:
    """Make the limits where they do good, take them away where they harm. Idempotent."""
    wanted = {CASE_TAG: settings.max_concurrent_cases, BATTLE_TAG: settings.max_concurrent_battles}
    if not is_on_postgresql(client):
        for tag in wanted:
            _remove(client, tag)
        held_by = "leases in Cornerman's database; Prefect's own limits harm on SQLite"
        return LimitsReport(held_by, {})
    for tag, limit in wanted.items():
        if _read(client, tag) != limit:
            client.create_concurrency_limit(tag=tag, concurrency_limit=limit)
    return LimitsReport("Prefect's tag limits and leases in Cornerman's database", wanted)


def _read(client: SyncPrefectClient, tag: str) -> int | None:
    try:
        return client.read_concurrency_limit_by_tag(tag).concurrency_limit
    except ObjectNotFound:
        return None


def _remove(client: SyncPrefectClient, tag: str) -> None:
    if _read(client, tag) is not None:
        client.delete_concurrency_limit_by_tag(tag)


POOL_TYPE = "process"
_FORMER_ENTRYPOINTS = (
    "flows.train.train_workflow",
    "flows.battle.battle_batch",
    "flows.scout.scout",
    "flows.retrain.retrain",
)


def deploy(settings: Settings | None = None, *, api_url: str | None = None) -> dict[str, Any]:
    """Apply work pool, deployments, limits and automations.

    Args:
        api_url: The Prefect server; None: PREFECT_API_URL.

    Returns:
        What was done: `prefect`, `work_pool`, `deployments`, `limits`, `limits_held_by`,
        `automations`. A second time everything is `unchanged`.

    Raises:
        PrefectServerError: No server is set, or it does not answer.
    """
    settings = settings or get_settings()
    url = api_url or settings.prefect_api_url
    if url is None:
        raise PrefectServerError(
            "PREFECT_API_URL is not set, and deployments live on a Prefect server.",
            hint="cornerman serve starts one; or set PREFECT_API_URL.",
        )
    specs = read_manifest(battle_cron=settings.battle_cron)
    with server_client(url) as client:
        renew_entrypoints(client)
        pools = {spec.pool: _apply_pool(client, spec.pool) for spec in specs}
        applied = {spec.full_name: _apply(client, spec) for spec in specs}
        limits = apply_limits(client, settings)
        scheduled = [applied[spec.full_name][0] for spec in specs if spec.schedules]
        automations = apply_automations(client, kill_switch_automations(scheduled))
    return {
        "prefect": url,
        "work_pool": pools,
        "deployments": {name: what for name, (_, what) in applied.items()},
        "limits": limits.tags,
        "limits_held_by": limits.held_by,
        "automations": automations,
    }


def renew_entrypoints(client: SyncPrefectClient) -> int:
    """Give deployments that version 0.1.0 registered the names that its flows have now.

    Returns:
        How many were changed.
    """
    found = [d for d in client.read_deployments() if d.entrypoint in _FORMER_ENTRYPOINTS]
    for deployment in found:
        renewed = DeploymentUpdate(entrypoint=f"cornerman.{deployment.entrypoint}")
        client.update_deployment(deployment.id, renewed)
    return len(found)


def _apply_pool(client: SyncPrefectClient, name: str) -> str:
    try:
        client.read_work_pool(name)
        return "unchanged"
    except ObjectNotFound:
        pass
    try:
        client.create_work_pool(WorkPoolCreate(name=name, type=POOL_TYPE))
    except ObjectAlreadyExists:
        return "unchanged"  # somebody else's deploy was quicker
    return "created"


def _apply(client: SyncPrefectClient, spec: DeploymentSpec) -> tuple[UUID, str]:
    """Create or renew a deployment; one that stands as it should is left alone.

    Renewing it would throw away the flow runs that are scheduled already.
    """
    wanted = spec.version(version("cornerman"))
    try:
        there = client.read_deployment_by_name(spec.full_name)
        if there.version == wanted:
            return there.id, "unchanged"
        done = "updated"
    except ObjectNotFound:
        done = "created"
    deployment_id = client.create_deployment(
        flow_id=client.create_flow(spec.flow),
        name=spec.name,
        version=wanted,
        entrypoint=spec.entrypoint,
        description=spec.description,
        tags=list(spec.tags),
        parameters=spec.parameters,
        parameter_openapi_schema=spec.flow.parameters.model_dump(exclude_unset=True),
        enforce_parameter_schema=True,
        work_pool_name=spec.pool,
        schedules=_schedules(spec),
        concurrency_limit=spec.most_at_once,
        concurrency_options=_concurrency(spec),
        pull_steps=[],
        paused=False,
    )
    return deployment_id, done


def _schedules(spec: DeploymentSpec) -> list[DeploymentScheduleCreate]:
    return [
        DeploymentScheduleCreate(
            schedule=CronSchedule(cron=schedule.cron, timezone=schedule.timezone),
            active=True,
            slug=schedule.slug,
        )
        for schedule in spec.schedules
    ]


def _concurrency(spec: DeploymentSpec) -> ConcurrencyOptions | None:
    if spec.most_at_once is None:
        return None
    return ConcurrencyOptions(collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)
