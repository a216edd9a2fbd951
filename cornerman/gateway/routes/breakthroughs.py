"""Breakthroughs and what is decided about them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from cornerman.domain.breakthroughs import Breakthrough, check_transition
from cornerman.domain.errors import BadInputError, ConflictError
from cornerman.gateway.auth import require_api
from cornerman.gateway.describe import Id, answers, require_text
from cornerman.gateway.errors import not_found
from cornerman.gateway.models import BreakthroughBody, BreakthroughsAnswer, StateChange
from cornerman.gateway.wiring import GatewayDep
from storage import breakthroughs

router = APIRouter(prefix="/api/breakthroughs", tags=["breakthroughs"], dependencies=[require_api])

State = Literal["pending_review", "reviewed", "promoted", "rejected"]


@router.get("", response_model=None, responses=answers(BreakthroughsAnswer))
async def list_breakthroughs(
    gateway: GatewayDep,
    workflow: Annotated[str | None, Query(max_length=128)] = None,
    state: Annotated[State | None, Query()] = None,
) -> JSONResponse:
    """Breakthroughs, newest first."""
    require_text(workflow or "", "workflow")
    found = await gateway.db.read(
        breakthroughs.read_breakthroughs, workflow_id=workflow, status=state
    )
    return JSONResponse({"breakthroughs": [_body(item) for item in reversed(found)]})


@router.post("/{id}/state", response_model=None, responses=answers(BreakthroughBody, 404, 409))
async def change_state(
    gateway: GatewayDep, breakthrough_id: Id, wanted: StateChange
) -> JSONResponse:
    """Decide about a breakthrough."""
    require_text(breakthrough_id, "breakthrough")
    changed = await gateway.db.write(_change, breakthrough_id, wanted.state)
    if changed is None:
        raise not_found("breakthrough", breakthrough_id)
    return JSONResponse(_body(changed))


def _change(session: Any, breakthrough_id: str, state: State) -> Breakthrough | None:
    found = breakthroughs.read_breakthrough(session, breakthrough_id)
    if found is None or found.status == state:
        return found
    try:
        check_transition(found.status, state)
    except BadInputError as error:
        raise ConflictError(error.message, existing_id=found.id) from error
    changed = found.model_copy(update={"status": state})
    breakthroughs.update_breakthrough(session, changed)
    return changed


def _body(found: Breakthrough) -> dict[str, Any]:
    return found.model_dump(mode="json")
