"""What all parts of one gateway share."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from cornerman.gateway.figures import Figures
from cornerman.gateway.hub import EventHub
from cornerman.gateway.limits import FailureLimiter
from cornerman.gateway.sessions import Sessions
from cornerman.settings import Settings
from cornerman.storage.engine import Database


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
