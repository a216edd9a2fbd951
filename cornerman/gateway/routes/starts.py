"""What the live page starts: a battle batch, a scan for breakthroughs, the example training."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import structlog
from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from cornerman.domain.battles.request import MAX_BATCH_SIZE, BattleBatchRequest
from cornerman.domain.errors import ConflictError, KillSwitchActiveError
from cornerman.domain.json_values import JsonText, WholeNumber
from cornerman.domain.runs import Run, RunKind
from cornerman.gateway.auth import ApiCaller, require_api
from cornerman.gateway.errors import answers
from cornerman.gateway.state import Gateway, GatewayDep
from cornerman.runner import create_batch_run, create_scout_run, create_training_run, start_run
from cornerman.runner.example import example_training
from cornerman.storage import budgets, runs

router = APIRouter(prefix="/api/monitor", tags=["monitor"], dependencies=[require_api])
log: structlog.stdlib.BoundLogger = structlog.get_logger("cornerman.gateway.starts")


class StartWanted(BaseModel):
    """What to start."""

    model_config = ConfigDict(extra="forbid")

    what: Literal["batch", "scout", "training"] = Field(
        description="A battle batch, a scan for breakthroughs, or the example training."
    )
    workflow: JsonText | None = Field(
        None, min_length=1, max_length=128, description="The batch's; null: the built-in one."
    )
    batch_size: WholeNumber | None = Field(
        None,
        description="Battles in the batch; null: the setting's.",
        json_schema_extra={"minimum": 1, "maximum": MAX_BATCH_SIZE},
    )


class AcceptedAnswer(BaseModel):
    """The run that was accepted."""

    id: str
    kind: str
    workflow_id: str
    status: str


@router.post(
    "/start",
    response_model=None,
    status_code=202,
    responses=answers(AcceptedAnswer, 409, status=202),
)
async def start(gateway: GatewayDep, caller: ApiCaller, wanted: StartWanted) -> JSONResponse:
    """Start it and answer at once; refused while the kill-switch is on."""
    switch = await gateway.db.read(budgets.read_kill_switch)
    if switch.active:
        raise KillSwitchActiveError(switch.reason)
    if wanted.what == "batch":
        run = await _batch(gateway, wanted)
    elif wanted.what == "scout":
        run = await create_scout_run(gateway.db, gateway.settings)
        await _begin(gateway, "scout", run, run.request)
    else:
        run = await _training(gateway)
    log.info("started from the page", what=wanted.what, run_id=run.id, caller=caller)
    accepted = AcceptedAnswer(
        id=run.id, kind=run.kind, workflow_id=run.workflow_id, status=run.status
    )
    return JSONResponse(accepted.model_dump(), status_code=202)


async def _begin(gateway: Gateway, kind: RunKind, run: Run, parameters: dict[str, Any]) -> None:
    await start_run(gateway.db, kind, parameters, run.id, settings=gateway.settings)


async def _batch(gateway: Gateway, wanted: StartWanted) -> Run:
    given = {"batch_size": gateway.settings.batch_size_checked(wanted.batch_size)}
    workflow = {"workflow_id": wanted.workflow} if wanted.workflow else {}
    request = BattleBatchRequest.model_validate(given | workflow)
    run, _ = await create_batch_run(gateway.db, gateway.settings, request)
    await _begin(gateway, "battle", run, request.model_dump(mode="json", exclude_none=True))
    return run


async def _training(gateway: Gateway) -> Run:
    spec = await asyncio.to_thread(example_training)
    for other in await gateway.db.read(
        runs.read_runs, kind="train", workflow_id=spec.workflow_id, active=True
    ):
        if runs.goes_on(other):
            raise ConflictError(
                f"The example is being trained already: {other.id}.",
                existing_id=other.id,
                hint=f"Wait for it, or end it with: cornerman runs cancel {other.id}",
            )
    run, parameters, _ = await create_training_run(gateway.db, gateway.settings, spec)
    await _begin(gateway, "train", run, parameters)
    return run
