"""Battle batches and scout scans as stored, pending runs."""

from __future__ import annotations

import uuid
from typing import Any

from cornerman.domain.battle_request import BattleBatchRequest
from cornerman.domain.errors import ConflictError, KillSwitchActiveError
from cornerman.domain.runs import Run, RunKind
from cornerman.domain.scout_request import ScoutParameters
from cornerman.domain.selection import no_active_personas
from cornerman.personas import builtin_personas
from cornerman.runner.launches import LaunchFolder
from cornerman.settings import Settings
from cornerman.storage import kill_switch, personas, runs, workflows
from cornerman.storage.engine import Database
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
    switch = kill_switch.read_kill_switch(session)
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
