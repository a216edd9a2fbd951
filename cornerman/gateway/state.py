"""The monitor's session: a signed cookie, and the token that its changes must carry.

What all parts of one gateway share.

How routes get at their gateway.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from cornerman.gateway.figures import Figures
from cornerman.gateway.hub import EventHub
from cornerman.gateway.middleware import FailureLimiter
from cornerman.settings import Settings
from cornerman.storage.database import Database

COOKIE = "cornerman_session"
SESSION_SECONDS = 12 * 3600


class Sessions:
    """Makes and checks cookies. Nothing is stored: a new API_TOKEN ends every session.

    Args:
        api_token: The key is derived from it; None: a key that lives as long as this process.
    """

    def __init__(self, api_token: str | None, clock: Callable[[], float] = time.time) -> None:
        secret = (api_token or secrets.token_hex(32)).encode()
        self._key = hmac.digest(secret, b"cornerman monitor session 1", hashlib.sha256)
        self._clock = clock

    def create(self) -> str:
        """A new session's cookie: when it ends, a random part, and the signature of both."""
        body = f"{int(self._clock()) + SESSION_SECONDS}.{secrets.token_urlsafe(16)}"
        return f"{body}.{self._sign('session', body)}"

    def is_valid(self, cookie: str) -> bool:
        """Whether the cookie is ours and has not run out."""
        body, _, signature = cookie.rpartition(".")
        ends_at, _, _ = body.partition(".")
        if not same_secret(signature, self._sign("session", body)):
            return False
        return ends_at.isdecimal() and int(ends_at) > self._clock()

    def csrf_token(self, cookie: str) -> str:
        """What a change made with this cookie must send along."""
        return self._sign("csrf", cookie)

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()


def same_secret(given: str, expected: str) -> bool:
    """Compare in a time that tells nothing of where they differ, nor of the expected length."""
    return hmac.compare_digest(_digest(given), _digest(expected))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


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
