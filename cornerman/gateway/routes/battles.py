"""Battles with what the referee saw, ratings, and breakthroughs with what is decided of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from cornerman.domain.battles.breakthroughs import Breakthrough
from cornerman.domain.errors import BadInputError, ConflictError
from cornerman.domain.runs import battle_subject
from cornerman.gateway import views
from cornerman.gateway.auth import ApiCaller, client_address, require_api
from cornerman.gateway.errors import Id, WorkflowId, answers, not_found, require_text
from cornerman.gateway.models import (
    BattleBody,
    BreakthroughBody,
    BreakthroughsAnswer,
    CallBody,
    PersonasAnswer,
    RatingsAnswer,
    StateChange,
)
from cornerman.gateway.state import GatewayDep
from cornerman.runner import start_promotion
from cornerman.storage import battles as battle_rows
from cornerman.storage import breakthroughs, traces

battles = APIRouter(prefix="/api", tags=["battles"], dependencies=[require_api])
findings = APIRouter(
    prefix="/api/breakthroughs", tags=["breakthroughs"], dependencies=[require_api]
)

State = Literal["pending_review", "reviewed", "promoted", "rejected"]


@battles.get("/battles/{id}", response_model=None, responses=answers(BattleBody, 404))
async def read_battle(gateway: GatewayDep, battle_id: Id) -> JSONResponse:
    """A battle with its transcript and the referee's evidence."""
    require_text(battle_id, "battle")
    found = await gateway.db.read(views.one_battle, battle_id)
    if found is None:
        raise not_found("battle", battle_id)
    return JSONResponse(found)


@battles.get("/battles/{id}/trace", response_model=None, responses=answers(list[CallBody], 404))
async def read_battle_trace(gateway: GatewayDep, battle_id: Id) -> JSONResponse:
    """The model calls of one battle in order: agent, persona and referee."""
    require_text(battle_id, "battle")
    calls = await gateway.db.read(_read_trace, battle_id)
    if not calls:
        raise not_found("call of battle", battle_id)
    return JSONResponse(calls)


def _read_trace(session: Any, battle_id: str) -> list[dict[str, Any]]:
    battle = battle_rows.read_battle(session, battle_id)
    if battle is None:
        return []
    return traces.read_trace(session, battle.batch_id, battle_subject(battle_id))


@battles.get("/ratings/{workflow}", response_model=None, responses=answers(RatingsAnswer))
async def read_ratings(gateway: GatewayDep, workflow: WorkflowId) -> JSONResponse:
    """Agent versions and personas on one scale; empty before the first batch."""
    require_text(workflow, "workflow")
    return JSONResponse(await gateway.db.read(views.ratings, workflow))


@battles.get("/personas/{workflow}", response_model=None, responses=answers(PersonasAnswer))
async def read_personas(gateway: GatewayDep, workflow: WorkflowId) -> JSONResponse:
    """Personas with how hard they were for the agent."""
    require_text(workflow, "workflow")
    return JSONResponse(await gateway.db.read(views.personas, workflow))


@findings.get("", response_model=None, responses=answers(BreakthroughsAnswer))
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


@findings.post(
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
        try:
            found, run_id = await start_promotion(
                gateway.db, gateway.settings, breakthrough_id, by=by
            )
        except BadInputError as error:
            if error.field != "personas":
                raise
            # Nothing in the request is wrong: the trial cannot be held as things stand.
            raise ConflictError(
                error.message, existing_id=breakthrough_id, hint=error.hint
            ) from error
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
