"""Battle batches and scout scans as stored, pending runs.

Trying a reviewed breakthrough's tactic, in a process of its own.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from cornerman.domain.battles.breakthroughs import Breakthrough, PromoteParameters, ScoutParameters
from cornerman.domain.battles.request import BattleBatchRequest
from cornerman.domain.errors import (
    ConflictError,
    KillSwitchActiveError,
    NotFoundError,
)
from cornerman.domain.personas.selection import no_active_personas
from cornerman.domain.runs import Run, RunKind
from cornerman.flows.promote import make_trial
from cornerman.personas import builtin_personas
from cornerman.runner import launches
from cornerman.runner.launches import Launch, LaunchFolder
from cornerman.settings import Settings
from cornerman.storage import breakthroughs, budgets, personas, runs, workflows
from cornerman.storage.database import Database
from cornerman.workflows import builtin_workflow_ids

# Scouts look at every workflow's battles; their rows need one to stand under.
_SCOUT_WORKFLOW = "negotiation"


async def create_batch_run(
    db: Database, settings: Settings, request: BattleBatchRequest
) -> tuple[Run, bool]:
    """Store a batch as a pending run; its `batch_key` gives the same batch again.

    Returns:
        The batch's run, and whether it is new.

    Raises:
        BadInputError: The batch size is over the limit.
        KillSwitchActiveError: The kill-switch is on.
        ConflictError: Another batch is running.
        NotFoundError: No personas are active.
    """
    settings.batch_size_checked(request.batch_size)
    launched = frozenset(LaunchFolder(settings.home).run_ids())
    return await db.write(_create_batch, request, launched, simulated=settings.simulated)


def _create_batch(
    session: Any, request: BattleBatchRequest, launched: frozenset[str], *, simulated: bool
) -> tuple[Run, bool]:
    # Before the key is looked up: while the switch is on, cron answers nothing else.
    _refuse_kill_switch(session)
    if request.batch_key is not None:
        there = runs.read_run_by_key(session, "battle", request.batch_key)
        if there is not None:
            return there, False
    _refuse_overlap(session, launched)
    workflows.create_workflow(session, request.workflow_id)
    _require_personas(session, request.workflow_id)
    run = runs.create_run(
        session,
        run_id=_new_id("batch"),
        kind="battle",
        workflow_id=request.workflow_id,
        request=request.model_dump(mode="json"),
        random_state={"seed": request.seed},
        simulated=simulated,
        idempotency_key=request.batch_key,
    )
    return run, True


async def create_scout_run(db: Database, settings: Settings) -> Run:
    """Store a scan for breakthroughs as a pending run.

    Raises:
        KillSwitchActiveError: The kill-switch is on.
    """
    return await db.write(_create_scout, simulated=settings.simulated)


def _create_scout(session: Any, *, simulated: bool) -> Run:
    _refuse_kill_switch(session)
    workflows.create_workflow(session, _SCOUT_WORKFLOW)
    kind: RunKind = "scout"
    return runs.create_run(
        session,
        run_id=_new_id("scout"),
        kind=kind,
        workflow_id=_SCOUT_WORKFLOW,
        request=ScoutParameters.model_validate({}).model_dump(mode="json", exclude={"run_id"}),
        random_state={},
        simulated=simulated,
    )


def _new_id(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def _refuse_kill_switch(session: Any) -> None:
    switch = budgets.read_kill_switch(session)
    if switch.active:
        raise KillSwitchActiveError(switch.reason)


def _refuse_overlap(session: Any, launched: frozenset[str]) -> None:
    for other in runs.read_runs(session, kind="battle", active=True):
        # One whose process died still counts while it is to be started again here.
        if runs.goes_on(other) or other.id in launched:
            raise ConflictError(
                f"A batch is running already: {other.id}.",
                existing_id=other.id,
                hint=f"Wait for it, or end it with: cornerman runs cancel {other.id}",
            )


def _require_personas(session: Any, workflow_id: str) -> None:
    builtin = workflow_id in builtin_workflow_ids()
    if builtin and personas.count_personas(session, workflow_id) == 0:
        personas.create_personas(session, builtin_personas(workflow_id))
    known = personas.read_personas(session, workflow_id)
    if not any(persona.active for persona in known):
        raise no_active_personas(workflow_id, switched_off=bool(known))


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
