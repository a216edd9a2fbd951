"""Checkpoints of a workflow."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi.responses import JSONResponse, Response

from cornerman.domain.training.candidates import Checkpoint
from cornerman.gateway.auth import require_api
from cornerman.gateway.errors import Id, Responses, WorkflowId, answers, not_found, require_text
from cornerman.gateway.models import CheckpointBody, LivePromptsBody
from cornerman.gateway.state import Gateway, GatewayDep
from cornerman.storage import checkpoints, workflows
from cornerman.storage.live import read_live_prompts

router = APIRouter(
    prefix="/api/workflows/{workflow}/agentensor", tags=["checkpoints"], dependencies=[require_api]
)


live = APIRouter(
    prefix="/api/workflows/{workflow}", tags=["checkpoints"], dependencies=[require_api]
)

_LIVE: Responses = answers(LivePromptsBody, 404)
_LIVE[304] = {"description": "They are the ones that `If-None-Match` names."}


@live.get("/prompts", response_model=None, responses=_LIVE)
async def read_prompts(
    gateway: GatewayDep,
    workflow: WorkflowId,
    if_none_match: Annotated[str | None, Header(description="An earlier answer's ETag.")] = None,
) -> Response:
    """The best checkpoint's prompts, for services; ask with the last `ETag`."""
    require_text(workflow, "workflow")
    found = await gateway.db.read(read_live_prompts, workflow)
    if found is None:
        raise not_found("checkpoint", "best", workflow=workflow)
    tag = f'"{found["checkpoint_id"]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    known = {one.strip().removeprefix("W/") for one in (if_none_match or "").split(",")}
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return JSONResponse(found, headers=headers)


@router.get("/checkpoints", response_model=None, responses=answers(list[CheckpointBody], 404))
async def list_checkpoints(
    gateway: GatewayDep,
    workflow: WorkflowId,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
    before: Annotated[
        int | None, Query(ge=0, le=2**31 - 1, description="Only versions under this one.")
    ] = None,
    best: Annotated[bool | None, Query(description="Only the best, or only the others.")] = None,
    run_id: Annotated[str | None, Query(max_length=128, description="Only this run's.")] = None,
) -> JSONResponse:
    """Checkpoints, newest first."""
    require_text(workflow, "workflow")
    found = await gateway.db.read(
        _read, workflow, limit=limit, before=before, best=best, run_id=run_id
    )
    if found is None:
        raise not_found("workflow", workflow)
    return JSONResponse([checkpoint.as_dict() for checkpoint in found])


def _read(session: Any, workflow_id: str, **filters: Any) -> list[Checkpoint] | None:
    found = checkpoints.read_checkpoints(session, workflow_id, **filters)
    if found or workflows.read_workflow(session, workflow_id) is not None:
        return found
    # Checkpoints may be older than the table of workflows.
    known = checkpoints.read_checkpoints(session, workflow_id, limit=1)
    return [] if known else None


@router.get("/checkpoints/{id}", response_model=None, responses=answers(CheckpointBody, 404))
async def read_checkpoint(
    gateway: GatewayDep, workflow: WorkflowId, checkpoint_id: Id
) -> JSONResponse:
    """One checkpoint, to be used again."""
    return JSONResponse((await require_checkpoint(gateway, workflow, checkpoint_id)).as_dict())


async def require_checkpoint(gateway: Gateway, workflow: str, checkpoint_id: str) -> Checkpoint:
    """One checkpoint of this workflow, or the refusal."""
    require_text(workflow + checkpoint_id, "checkpoint")
    found = await gateway.db.read(checkpoints.read_checkpoint, workflow, checkpoint_id)
    if found is None:
        raise not_found("checkpoint", checkpoint_id, workflow=workflow)
    return found
