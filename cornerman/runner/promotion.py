"""Trying a reviewed breakthrough's tactic, in a process of its own."""

from __future__ import annotations

import asyncio
from typing import Any

from cornerman.domain.battles.breakthroughs import Breakthrough, PromoteParameters
from cornerman.domain.errors import ConflictError, KillSwitchActiveError, NotFoundError
from cornerman.flows.promote import make_trial
from cornerman.runner import launches
from cornerman.runner.launches import Launch, LaunchFolder
from cornerman.settings import Settings
from cornerman.storage import breakthroughs, budgets
from cornerman.storage.database import Database


async def start_promotion(
    db: Database, settings: Settings, breakthrough_id: str, *, by: str
) -> tuple[Breakthrough, str]:
    """Begin the trial that may promote a breakthrough; a trial that is on is not begun twice.

    Returns:
        The breakthrough as it stands, and the id of the trial's training run.

    Raises:
        NotFoundError: There is no such breakthrough.
        ConflictError: It was not reviewed, or no tactic could be named.
        BadInputError: Too few personas are left to try it on.
        KillSwitchActiveError: The kill-switch is on.
    """
    found = await db.read(_promotable, breakthrough_id)
    parameters = PromoteParameters.model_validate({"breakthrough_id": found.id, "by": by})
    # Named by what is tried on whom, so that a stopped trial goes on.
    run_id = str((await db.read(make_trial, parameters, found)).run_id)
    launch = Launch(run_id, "promote", parameters.model_dump(mode="json"))
    await asyncio.to_thread(launches.start_process, LaunchFolder(settings.home), launch)
    return found, run_id


def _promotable(session: Any, breakthrough_id: str) -> Breakthrough:
    found = breakthroughs.read_breakthrough(session, breakthrough_id)
    if found is None:
        raise NotFoundError(f"There is no breakthrough {breakthrough_id!r}.", field="id")
    if found.status != "reviewed":
        raise ConflictError(
            f"Breakthrough {found.id} is {found.status!r}; only a reviewed one is tried.",
            existing_id=found.id,
            hint="Review it first.",
        )
    if not found.tactic.named:
        raise ConflictError(
            f"The scout could not name the tactic of breakthrough {found.id}, so there is "
            "nothing to write into a prompt.",
            existing_id=found.id,
        )
    switch = budgets.read_kill_switch(session)
    if switch.active:
        raise KillSwitchActiveError(switch.reason)
    return found


def keep_failed_trial(session: Any, breakthrough_id: str, why: str) -> None:
    """Keep on the breakthrough why its trial could not be held."""
    found = breakthroughs.read_breakthrough(session, breakthrough_id)
    if found is not None and found.status == "reviewed":
        changed = found.model_copy(update={"last_trial": f"the trial could not be held: {why}"})
        breakthroughs.update_breakthrough(session, changed)
