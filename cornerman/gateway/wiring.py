"""How routes get at their gateway."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from cornerman.gateway.state import Gateway, gateway_of


async def _gateway(request: Request) -> Gateway:
    # Async, though it awaits nothing: FastAPI sends each plain function to a thread and back.
    return gateway_of(request)


GatewayDep = Annotated[Gateway, Depends(_gateway)]
