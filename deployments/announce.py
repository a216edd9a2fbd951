"""Tells the Prefect server when the kill-switch is turned, whoever turned it and where.

The command line and the gateway know nothing of Prefect, so a worker looks for them.
"""

from __future__ import annotations

import asyncio
import logging
import uuid

from cornerman.deployments.automations import KILL_SWITCH_RESOURCE
from cornerman.storage.engine import Database
from cornerman.storage.kill_switch import read_kill_switch
from prefect.events import emit_event

from cornerman.domain.runs import KillSwitch

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
