"""What a scheduler calls: a battle batch, and a scan for breakthroughs."""

from __future__ import annotations

from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Header, Query
from fastapi.responses import JSONResponse

from cornerman.domain.battles.request import BattleBatchRequest
from cornerman.domain.runs import Run
from cornerman.gateway.auth import require_cron
from cornerman.gateway.errors import KILL_SWITCH, KILL_SWITCH_HINT, TIME_OUT, GatewayError, answers
from cornerman.gateway.models import (
    BatchAnswer,
    ScoutAnswer,
    StartedAnswer,
    TrainBatchRequest,
)
from cornerman.gateway.state import Gateway, GatewayDep
from cornerman.runner import create_batch_run, create_scout_run, start_run
from cornerman.storage import runs

router = APIRouter(prefix="/api/cron", tags=["cron"], dependencies=[require_cron])
log: structlog.stdlib.BoundLogger = structlog.get_logger("cornerman.gateway.cron")

# A process takes a while to begin; the batch's own clock starts once it has.
START_GRACE_SECONDS = 30.0
_BATCH_KEYS = (
    "batchId",
    "battlesCompleted",
    "averageScore",
    "totalCost",
    "breakthroughs",
    "errors",
    "stoppedBy",
    "completedAt",
)

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[!-~]+$",
        description="The same key gives the same batch.",
    ),
]


@router.post(
    "/train",
    response_model=None,
    status_code=202,
    responses=answers(StartedAnswer, 409, status=202),
)
async def start_batch(
    gateway: GatewayDep, wanted: TrainBatchRequest | None = None, key: IdempotencyKey = None
) -> JSONResponse:
    """Start a battle batch and answer at once."""
    wanted = wanted or TrainBatchRequest.model_validate({})
    run = await _start(gateway, wanted.batch_size, wanted.workflow_id, key)
    body = {
        "success": True,
        "status": "started",
        "batch": {
            "batchId": run.id,
            "status": run.status,
            "startedAt": run.created_at.isoformat(),
        },
        "message": f"Batch {run.id} was started. Watch it at /api/runs/{run.id}/events.",
    }
    return JSONResponse(body, status_code=202)


@router.get("/train", response_model=None, responses=answers(BatchAnswer, 409, 504))
async def run_batch(
    gateway: GatewayDep,
    batch_size: Annotated[
        int | None,
        Query(
            alias="batchSize",
            description="Battles in the batch; empty: the setting's.",
            json_schema_extra={"minimum": 1, "maximum": 10},
        ),
    ] = None,
    workflow_id: Annotated[
        str | None,
        Query(
            alias="workflowId",
            min_length=1,
            max_length=128,
            description="Whose agent plays: a built-in or stored workflow; empty: negotiation.",
        ),
    ] = None,
    key: IdempotencyKey = None,
) -> JSONResponse:
    """Run a battle batch and answer with its figures once it has ended."""
    run = await _end_of(gateway, await _start(gateway, batch_size, workflow_id, key))
    result = run.result or {}
    if not all(name in result for name in _BATCH_KEYS):
        raise _failure(run)
    # Batches of an earlier version say nothing of the two.
    more = {"status": run.status, "battlesFailed": result.get("battlesFailed", 0)}
    batch = {name: result[name] for name in _BATCH_KEYS} | more
    success = run.status != "failed"
    return JSONResponse({"success": success, "batch": batch, "message": _message(batch)})


@router.get("/scout-scan", response_model=None, responses=answers(ScoutAnswer, 504))
async def scan(gateway: GatewayDep) -> JSONResponse:
    """Look for breakthroughs in battles that no scout has looked at yet."""
    run = await create_scout_run(gateway.db, gateway.settings)
    await start_run(gateway.db, "scout", run.request, run.id, settings=gateway.settings)
    run = await _end_of(gateway, run)
    if run.result is None or "processed" not in run.result:
        raise _failure(run)
    processed, found = run.result["processed"], len(run.result.get("breakthroughs", ()))
    message = f"{processed} battles looked at, {found} new breakthroughs."
    if run.stopped_by:
        message += f" Stopped by {run.stopped_by}."
    return JSONResponse({"success": True, "processed": processed, "message": message})


async def _start(
    gateway: Gateway, size: int | None, workflow_id: str | None, key: str | None
) -> Run:
    checked = gateway.settings.batch_size_checked(size)
    workflow = {"workflow_id": workflow_id} if workflow_id else {}
    given = {"batch_size": checked, "batch_key": key}
    request = BattleBatchRequest.model_validate(given | workflow)
    run, new = await create_batch_run(gateway.db, gateway.settings, request)
    with structlog.contextvars.bound_contextvars(run_id=run.id, batch_id=run.id):
        log.info("batch asked for", size=checked, new=new)
        if new:
            parameters = request.model_dump(mode="json", exclude_none=True)
            await start_run(gateway.db, "battle", parameters, run.id, settings=gateway.settings)
    return run


async def _end_of(gateway: Gateway, run: Run) -> Run:
    """Wait for the run's end.

    Raises:
        GatewayError: 504 when it takes longer than the time limit; the run goes on.
    """
    limit = gateway.settings.max_training_execution_time_ms / 1000
    ended = await gateway.hub.wait_until_ended(run.id, limit + START_GRACE_SECONDS)
    stored = await gateway.db.read(runs.read_run, run.id)
    if ended is None or stored is None:
        raise GatewayError(
            504,
            TIME_OUT,
            f"Execution timeout: {run.id} has not ended within {limit:g} s.",
            hint="Reduce TRAINING_BATCH_SIZE or MAX_CONCURRENT_BATTLES, or increase "
            f"MAX_TRAINING_EXECUTION_TIME_MS. It goes on; see /api/runs/{run.id}.",
            facts={"id": run.id},
        )
    return stored


def _failure(run: Run) -> GatewayError:
    """The answer to a run that ended with nothing to show."""
    error: dict[str, Any] = run.error or {}
    facts = {"success": False, "id": run.id}
    if error.get("type") == "KillSwitchActiveError":
        facts["killSwitchActive"] = True
        return GatewayError(503, KILL_SWITCH, error["message"], hint=KILL_SWITCH_HINT, facts=facts)
    said = error.get("message") or f"Run {run.id} ended as {run.status} without a result."
    return GatewayError(500, "Run failed", said, hint=str(error.get("hint", "")), facts=facts)


def _message(batch: dict[str, Any]) -> str:
    score = batch["averageScore"]
    parts = [f"{batch['battlesCompleted']} battles completed"]
    parts += [f"{batch['battlesFailed']} failed"] if batch["battlesFailed"] else []
    parts += [] if score is None else [f"average score {score:.1f}"]
    parts += [f"cost ${batch['totalCost']:.4f}", f"{batch['breakthroughs']} breakthroughs"]
    text = ", ".join(parts) + "."
    if batch["status"] == "failed":
        text = f"The batch failed: not one battle was scored. {text}"
    stopped = batch["stoppedBy"]
    if stopped == "timeout":
        text += " Execution timeout: battles that had not ended were cancelled; reduce the batch "
        text += "size or increase MAX_TRAINING_EXECUTION_TIME_MS."
    elif stopped in ("budget", "kill_switch"):
        text += f" Kill-switch activated ({stopped}); check individual battle costs."
    elif stopped:
        text += f" Stopped by {stopped}."
    return text
