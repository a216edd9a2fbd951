"""The kill-switch."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from cornerman.domain.errors import BadInputError
from cornerman.domain.json_values import json_fault
from cornerman.gateway.auth import ApiCaller, client_address, require_api
from cornerman.gateway.errors import answers
from cornerman.gateway.models import KillSwitchBody, KillSwitchChange
from cornerman.gateway.state import GatewayDep
from cornerman.storage.budgets import create_kill_switch_state, read_kill_switch

router = APIRouter(prefix="/api/kill-switch", tags=["kill-switch"], dependencies=[require_api])


@router.get("", response_model=None, responses=answers(KillSwitchBody))
async def read(gateway: GatewayDep) -> JSONResponse:
    """Whether paid work is stopped, by whom, why and since when."""
    return JSONResponse((await gateway.db.read(read_kill_switch)).as_dict())


@router.put("", response_model=None, responses=answers(KillSwitchBody))
async def change(
    request: Request, gateway: GatewayDep, caller: ApiCaller, wanted: KillSwitchChange
) -> JSONResponse:
    """Stop all paid work everywhere within a second, or let it go on."""
    fault = json_fault(wanted.reason)
    if fault is not None:
        raise BadInputError(f"reason: {fault[1]}", field="reason")
    switch = await gateway.db.write(
        create_kill_switch_state,
        active=wanted.active,
        reason=wanted.reason
        or ("turned on over HTTP" if wanted.active else "turned off over HTTP"),
        by=f"{caller}@{client_address(request)}",
    )
    return JSONResponse(switch.as_dict())
