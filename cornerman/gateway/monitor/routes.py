"""What only the page asks for: its files, and two checkpoints compared."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response

from cornerman.domain.checkpoints import Checkpoint
from cornerman.gateway.auth import require_api
from cornerman.gateway.describe import WorkflowId, answers
from cornerman.gateway.errors import not_found
from cornerman.gateway.models import AnyBody
from cornerman.gateway.monitor.diff import diff_checkpoints
from cornerman.gateway.monitor.files import static_files, static_version
from cornerman.gateway.wiring import GatewayDep
from storage.checkpoints import read_checkpoint

router = APIRouter(tags=["monitor"])

CheckpointId = Annotated[str, Query(min_length=1, max_length=128)]
_FOR_EVER = "public, max-age=31536000, immutable"


@router.get("/admin/static/{version}/{name:path}", include_in_schema=False)
async def static_file(version: str, name: str) -> Response:
    """One of the page's files; open to all, since the login page needs them too."""
    found = static_files().get(name)
    if found is None:
        raise not_found("file", name)
    # A page of an older gateway gets today's file, but does not keep it under the old name.
    kept = _FOR_EVER if version == static_version() else "no-store"
    headers = {"Cache-Control": kept, "X-Content-Type-Options": "nosniff"}
    return Response(found.content, media_type=found.media_type, headers=headers)


@router.get(
    "/api/monitor/diff/{workflow}",
    response_model=None,
    dependencies=[require_api],
    responses=answers(AnyBody, 404),
)
async def diff(
    gateway: GatewayDep, workflow: WorkflowId, before: CheckpointId, after: CheckpointId
) -> JSONResponse:
    """The prompts of two checkpoints of a workflow, compared word by word."""
    old, new = await gateway.db.read(_read_two, workflow, before, after)
    if old is None or new is None:
        raise not_found(f"checkpoint of workflow {workflow!r}", before if old is None else after)
    return JSONResponse(diff_checkpoints(old, new))


def _read_two(
    session: Any, workflow: str, before: str, after: str
) -> tuple[Checkpoint | None, Checkpoint | None]:
    return (
        read_checkpoint(session, workflow, before),
        read_checkpoint(session, workflow, after),
    )
