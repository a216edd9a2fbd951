"""Who may call: bearer secrets, the monitor's cookie, and the open door on loopback."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Literal

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer
from pydantic import SecretStr
from starlette.requests import HTTPConnection

from cornerman.gateway.errors import GatewayError
from cornerman.gateway.state import COOKIE, Gateway, gateway_of, same_secret

Door = Literal["api", "cron"]
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_NAMES: dict[Door, tuple[str, str]] = {
    "api": ("API_TOKEN", "API token"),
    "cron": ("CRON_SECRET", "Cron secret"),
}

# For the OpenAPI document; the checking is done below.
_api_scheme = HTTPBearer(scheme_name="ApiToken", description="API_TOKEN", auto_error=False)
_cron_scheme = HTTPBearer(scheme_name="CronSecret", description="CRON_SECRET", auto_error=False)


def client_address(connection: HTTPConnection) -> str:
    """The address at the other end; headers are not asked, as anyone may set them."""
    return connection.client.host if connection.client else ""


def is_loopback(host: str) -> bool:
    """Whether a host's name or address means this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_open(connection: HTTPConnection, gateway: Gateway) -> bool:
    """Whether CORNERMAN_INSECURE_LOCAL lets this caller in: on loopback from end to end.

    A proxy makes strangers look local, and a web page may reach loopback under a name of its own;
    so forwarded calls and calls by another name than loopback's are not let in.
    """
    if not gateway.settings.cornerman_insecure_local or not gateway.bound_to_loopback:
        return False
    forwarded = any(n in connection.headers for n in ("forwarded", "x-forwarded-for", "x-real-ip"))
    name = connection.url.hostname or ""
    return is_loopback(client_address(connection)) and not forwarded and is_loopback(name)


def authenticate(
    connection: HTTPConnection, gateway: Gateway, door: Door, token: str | None
) -> str:
    """Return who calls, for the log and for `by`.

    Args:
        token: The secret that was presented; None when there was none.

    Raises:
        GatewayError: 401, 403, 429, or 500 when the settings lack the secret.
    """
    if is_open(connection, gateway):
        require_own_origin(connection)
        return "local"
    secret = _secret(gateway, door)
    if secret is None:
        variable, title = _NAMES[door]
        raise GatewayError(
            500,
            f"{title} not configured",
            f"{title} not configured: set {variable} in the environment or in .env.",
            hint=f"Use a random secure string: {variable}=$(openssl rand -hex 32)",
        )
    if token is not None:
        check_secret(connection, gateway, door, token, secret.get_secret_value())
        return "api-token" if door == "api" else "cron"
    cookie = connection.cookies.get(COOKIE)
    if door == "api" and cookie is not None and gateway.sessions.is_valid(cookie):
        _require_no_forgery(connection, gateway, cookie)
        return "monitor"
    raise unauthorized(door)


def _secret(gateway: Gateway, door: Door) -> SecretStr | None:
    settings = gateway.settings
    return settings.api_token if door == "api" else settings.cron_secret


def unauthorized(door: Door) -> GatewayError:
    """The answer to a caller without the secret."""
    variable = _NAMES[door][0]
    return GatewayError(
        401,
        "Unauthorized",
        f"Authorization: Bearer with {variable} is needed.",
        headers={"WWW-Authenticate": "Bearer"},
    )


def check_secret(
    connection: HTTPConnection, gateway: Gateway, door: Door, given: str, expected: str
) -> None:
    """Compare a secret in constant time and count a wrong one against its address.

    Raises:
        GatewayError: 401 when it is wrong; 429 when this address was wrong too often.
    """
    address, limiter = client_address(connection), gateway.limiter
    if limiter.may_try(address) and same_secret(given, expected):
        limiter.succeeded(address)
        return
    wait = limiter.wait_seconds(address)
    if wait:
        raise GatewayError(
            429,
            "Too many failed attempts",
            f"Too many wrong secrets from this address; try again in {wait} s.",
            headers={"Retry-After": str(wait)},
        )
    limiter.failed(address)
    raise GatewayError(
        401,
        "Unauthorized",
        f"The secret is wrong; {_NAMES[door][0]} is expected here.",
        headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
    )


def require_own_origin(connection: HTTPConnection) -> None:
    """Refuse what another site's page makes a browser send.

    Raises:
        GatewayError: 403.
    """
    if connection.scope["type"] == "http" and connection.scope["method"] in _SAFE_METHODS:
        return
    origin = connection.headers.get("origin")
    host = connection.headers.get("host", "")
    if origin is not None and origin.partition("://")[2] != host:
        raise GatewayError(403, "Forbidden", "The call comes from another site's page.")


def _require_no_forgery(connection: HTTPConnection, gateway: Gateway, cookie: str) -> None:
    require_own_origin(connection)
    if connection.scope["type"] != "http" or connection.scope["method"] in _SAFE_METHODS:
        return
    given = connection.headers.get("x-csrf-token", "")
    if not same_secret(given, gateway.sessions.csrf_token(cookie)):
        raise GatewayError(
            403,
            "Forbidden",
            "A change made with the monitor's cookie needs the page's X-CSRF-Token.",
            hint="Load the page again.",
        )


def bearer_token(connection: HTTPConnection) -> str | None:
    """The token of `Authorization: Bearer`; None without one."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


# Async, though they await nothing: FastAPI sends each plain function to a thread and back.
async def _api_caller(request: Request, _documented: Annotated[Any, Security(_api_scheme)]) -> str:
    return authenticate(request, gateway_of(request), "api", bearer_token(request))


async def _cron_caller(
    request: Request, _documented: Annotated[Any, Security(_cron_scheme)]
) -> str:
    return authenticate(request, gateway_of(request), "cron", bearer_token(request))


ApiCaller = Annotated[str, Depends(_api_caller)]
require_api = Depends(_api_caller)
require_cron = Depends(_cron_caller)
