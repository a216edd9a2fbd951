"""Tells the Prefect server when the kill-switch is turned, whoever turned it and where.

The command line and the gateway know nothing of Prefect, so a worker looks for them.

Automations on the Prefect server: when the kill-switch trips, the schedules pause.

Cornerman emits these events when a server is set; any automation may listen to them:

`cornerman.kill-switch.on`, `.off`
    Resource `cornerman.kill-switch`; the payload has who turned it and why.
`cornerman.batch.completed`, `.stopped`, `.failed`, and the same of `training`, `scout`, `retrain`
    Resource `cornerman.run.RUN_ID`; the payload has the figures of the run.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from datetime import timedelta
from uuid import UUID

from prefect.automations import AutomationCore, EventTrigger, Posture
from prefect.client.orchestration import SyncPrefectClient
from prefect.events import emit_event
from prefect.events.actions import PauseDeployment, ResumeDeployment

from cornerman.domain.runs import KillSwitch
from cornerman.storage.budgets import read_kill_switch
from cornerman.storage.database import Database

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
_IDS = uuid.UUID("0f0a8e5e-3b27-5d0e-9c53-7f5dd3a35d11")


async def announce_forever(db: Database) -> None:
    """Emit `cornerman.kill-switch.on` and `.off` until cancelled."""
    before: KillSwitch | None = None
    while True:
        try:
            switch = await db.read(read_kill_switch)
            # The first look tells too: it may have tripped while no worker was there.
            if before is None or (before.active, before.since) != (switch.active, switch.since):
                announce(switch)
            before = switch
        except Exception:
            log.exception("The kill-switch could not be looked at; it is tried again")
        await asyncio.sleep(LOOK_SECONDS)


def announce(switch: KillSwitch) -> None:
    """Emit the switch's position; of several workers the server keeps one event."""
    if switch.since is None:
        return  # nobody ever turned it
    position = "on" if switch.active else "off"
    emit_event(
        f"{KILL_SWITCH_RESOURCE}.{position}",
        resource={
            "prefect.resource.id": KILL_SWITCH_RESOURCE,
            "prefect.resource.name": "kill-switch",
        },
        payload=switch.as_dict(),
        id=uuid.uuid5(_IDS, f"{position}/{switch.since.isoformat()}"),
    )


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
