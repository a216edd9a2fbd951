"""Automations on the Prefect server: when the kill-switch trips, the schedules pause.

Cornerman emits these events when a server is set; any automation may listen to them:

`cornerman.kill-switch.on`, `.off`
    Resource `cornerman.kill-switch`; the payload has who turned it and why.
`cornerman.batch.completed`, `.stopped`, `.failed`, and the same of `training`, `scout`, `retrain`
    Resource `cornerman.run.RUN_ID`; the payload has the figures of the run.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from prefect.automations import AutomationCore, EventTrigger, Posture
from prefect.client.orchestration import SyncPrefectClient
from prefect.events.actions import PauseDeployment, ResumeDeployment

PAUSE = "cornerman: pause schedules when the kill-switch trips"
RESUME = "cornerman: resume schedules when the kill-switch is off"
KILL_SWITCH_RESOURCE = "cornerman.kill-switch"


def kill_switch_automations(deployment_ids: list[UUID]) -> list[AutomationCore]:
    """Pause these deployments when the kill-switch trips, and resume them when it is off."""
    pause = [PauseDeployment(source="selected", deployment_id=name) for name in deployment_ids]
    resume = [ResumeDeployment(source="selected", deployment_id=name) for name in deployment_ids]
    return [
        AutomationCore(
            name=PAUSE,
            description="No paid work is scheduled while the kill-switch is on.",
            trigger=_at("on"),
            actions=list(pause),
        ),
        AutomationCore(
            name=RESUME,
            description="The schedules go on once a person has turned the kill-switch off.",
            trigger=_at("off"),
            actions=list(resume),
        ),
    ]


def _at(position: str) -> EventTrigger:
    return EventTrigger(
        expect={f"{KILL_SWITCH_RESOURCE}.{position}"},
        match={"prefect.resource.id": KILL_SWITCH_RESOURCE},  # pyright: ignore[reportArgumentType]
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(0),
    )


def apply_automations(client: SyncPrefectClient, wanted: list[AutomationCore]) -> dict[str, str]:
    """Create the automations or bring them up to date. Idempotent.

    Returns:
        `created`, `updated` or `unchanged` by name.
    """
    done = dict[str, str]()
    for automation in wanted:
        there = client.read_automations_by_name(automation.name)
        for twin in there[1:]:
            client.delete_automation(twin.id)
        if not there:
            client.create_automation(automation)
            done[automation.name] = "created"
        elif _facts(there[0]) != _facts(automation):
            client.update_automation(there[0].id, automation)
            done[automation.name] = "updated"
        else:
            done[automation.name] = "unchanged"
    return done


def _facts(automation: AutomationCore) -> object:
    # The server gives triggers ids of their own.
    facts = automation.model_dump(mode="json", include={"description", "actions"})
    trigger = automation.trigger.model_dump(mode="json", include={"expect", "match", "threshold"})
    return facts, trigger
