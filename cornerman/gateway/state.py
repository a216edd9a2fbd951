"""What all parts of one gateway share.

How routes get at their gateway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from cornerman.gateway.figures import Figures
from cornerman.gateway.hub import EventHub
from cornerman.gateway.middleware import FailureLimiter
from cornerman.gateway.sessions import Sessions
from cornerman.settings import Settings
from cornerman.storage.database import Database


@dataclass
class Gateway:
    """One running gateway.

    Args:
        bound_to_loopback: Whether it listens on loopback alone.
    """

    settings: Settings
    db: Database
    hub: EventHub
    figures: Figures
    limiter: FailureLimiter
    sessions: Sessions
    bound_to_loopback: bool


def gateway_of(connection: HTTPConnection) -> Gateway:
    """The gateway that got this call."""
    return connection.app.state.gateway


async def _gateway(request: Request) -> Gateway:
    # Async, though it awaits nothing: FastAPI sends each plain function to a thread and back.
    return gateway_of(request)


GatewayDep = Annotated[Gateway, Depends(_gateway)]
