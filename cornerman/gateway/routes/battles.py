"""Battles with what the referee saw, and the personas and ratings behind them."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from cornerman.gateway import views
from cornerman.gateway.auth import require_api
from cornerman.gateway.errors import Id, WorkflowId, answers, not_found, require_text
from cornerman.gateway.models import BattleBody, PersonasAnswer, RatingsAnswer
from cornerman.gateway.state import GatewayDep

router = APIRouter(prefix="/api", tags=["battles"], dependencies=[require_api])


@router.get("/battles/{id}", response_model=None, responses=answers(BattleBody, 404))
async def read_battle(gateway: GatewayDep, battle_id: Id) -> JSONResponse:
    """A battle with its transcript and the referee's evidence."""
    require_text(battle_id, "battle")
    found = await gateway.db.read(views.one_battle, battle_id)
    if found is None:
        raise not_found("battle", battle_id)
    return JSONResponse(found)


@router.get("/ratings/{workflow}", response_model=None, responses=answers(RatingsAnswer))
async def read_ratings(gateway: GatewayDep, workflow: WorkflowId) -> JSONResponse:
    """Agent versions and personas on one scale; empty before the first batch."""
    require_text(workflow, "workflow")
    return JSONResponse(await gateway.db.read(views.ratings, workflow))


@router.get("/personas/{workflow}", response_model=None, responses=answers(PersonasAnswer))
async def read_personas(gateway: GatewayDep, workflow: WorkflowId) -> JSONResponse:
    """Personas with how hard they were for the agent."""
    require_text(workflow, "workflow")
    return JSONResponse(await gateway.db.read(views.personas, workflow))
