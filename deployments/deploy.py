"""`cornerman deploy`: have the Prefect server know everything of `prefect.yaml`. Idempotent."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any
from uuid import UUID

from cornerman.deployments.automations import apply_automations, kill_switch_automations
from cornerman.deployments.limits import apply_limits
from cornerman.deployments.manifest import DeploymentSpec, read_manifest
from cornerman.deployments.prefect_api import PrefectServerError, server_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from cornerman.settings import Settings, get_settings

POOL_TYPE = "process"


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
