"""Breakthroughs and what is decided about them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from cornerman.domain.battles.breakthroughs import Breakthrough
from cornerman.domain.errors import BadInputError, ConflictError
from cornerman.gateway.auth import ApiCaller, client_address, require_api
from cornerman.gateway.errors import Id, answers, not_found, require_text
from cornerman.gateway.models import BreakthroughBody, BreakthroughsAnswer, StateChange
from cornerman.gateway.state import GatewayDep
from cornerman.runner import start_promotion
from cornerman.storage import breakthroughs

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


@router.post(
    "/{id}/state",
    response_model=None,
    responses=answers(BreakthroughBody, 404, 409)
    | {202: {"model": BreakthroughBody, "description": "Its trial has begun."}},
)
async def change_state(
    request: Request,
    gateway: GatewayDep,
    caller: ApiCaller,
    breakthrough_id: Id,
    wanted: StateChange,
) -> JSONResponse:
    """Decide about a breakthrough.

    `promoted` begins its trial on personas that did not show the tactic, and answers 202 with the
    trial's `run_id`; the state changes only when the tactic holds up there.
    """
    require_text(breakthrough_id, "breakthrough")
    by = f"{caller}@{client_address(request)}"
    if wanted.state == "promoted":
        found, run_id = await start_promotion(gateway.db, gateway.settings, breakthrough_id, by=by)
        return JSONResponse(_body(found) | {"run_id": run_id}, status_code=202)
    changed = await gateway.db.write(
        _change, breakthrough_id, wanted.state, by=by, reason=wanted.reason
    )
    if changed is None:
        raise not_found("breakthrough", breakthrough_id)
    return JSONResponse(_body(changed))


def _change(
    session: Any, breakthrough_id: str, state: State, *, by: str, reason: str
) -> Breakthrough | None:
    found = breakthroughs.read_breakthrough(session, breakthrough_id)
    if found is None or found.status == state:
        return found
    try:
        return breakthroughs.review_breakthrough(
            session, breakthrough_id, state, by=by, reason=reason
        )
    except BadInputError as error:
        raise ConflictError(error.message, existing_id=found.id, hint=error.hint) from error


def _body(found: Breakthrough) -> dict[str, Any]:
    return found.model_dump(mode="json")
