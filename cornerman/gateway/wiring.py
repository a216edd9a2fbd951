"""How routes get at their gateway."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from cornerman.gateway.state import Gateway, gateway_of


def _gateway(request: Request) -> Gateway:
    return gateway_of(request)


GatewayDep = Annotated[Gateway, Depends(_gateway)]
