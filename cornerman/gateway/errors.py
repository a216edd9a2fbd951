"""Every refusal as `{"error", "message"}`, with a hint that says what mends it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from cornerman.domain.errors import (
    BadInputError,
    ConflictError,
    CornermanError,
    KillSwitchActiveError,
    NotFoundError,
    SettingsError,
    StorageError,
    UnpricedModelError,
)
from cornerman.domain.json_values import shown
from cornerman.runner.deployed import DeploymentError

log = logging.getLogger(__name__)

# The words under which people look their trouble up.
NO_PERSONAS = "No active personas found"
KILL_SWITCH = "Kill-switch activated"
TIME_OUT = "Execution timeout"

_STATUS: tuple[tuple[type[CornermanError], int], ...] = (
    (NotFoundError, 404),
    (SettingsError, 500),
    (UnpricedModelError, 422),
    (BadInputError, 422),
    (ConflictError, 409),
    (KillSwitchActiveError, 503),
    (StorageError, 503),
    (DeploymentError, 503),
)
_TITLES = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    413: "Too large",
    422: "Invalid request",
    429: "Too many failed attempts",
    500: "Internal error",
}


class GatewayError(CornermanError):
    """A refusal with a status of its own.

    Args:
        status: HTTP status.
        error: The few words that name the trouble.
        facts: More keys of the answer.
    """

    def __init__(
        self,
        status: int,
        error: str,
        message: str,
        *,
        hint: str = "",
        headers: Mapping[str, str] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.error = error
        self.headers = dict(headers or {})
        self.facts = dict(facts or {})


def not_found(what: str, name: str) -> NotFoundError:
    """The refusal of something that does not exist."""
    return NotFoundError(f"There is no {what} {shown(name)}.", field=what)


def as_gateway_error(error: CornermanError) -> GatewayError:
    """The answer that an error of the product gets."""
    if isinstance(error, GatewayError):
        return error
    status = next((code for family, code in _STATUS if isinstance(error, family)), 500)
    facts: dict[str, Any] = {}
    title = _TITLES.get(status, error.code)
    if isinstance(error, ConflictError):
        title, facts = "Conflict", {"id": error.existing_id}
    elif isinstance(error, KillSwitchActiveError):
        title, facts = KILL_SWITCH, {"killSwitchActive": True}
    elif isinstance(error, (StorageError, DeploymentError)):
        title = "Database unavailable" if isinstance(error, StorageError) else "Prefect unavailable"
    elif isinstance(error, NotFoundError) and error.field == "personas":
        status, title = 422, NO_PERSONAS
    return GatewayError(status, title, error.message, hint=error.hint, facts=facts)


def error_response(error: GatewayError) -> JSONResponse:
    """The answer itself; the hint is part of the message, so that nobody misses it."""
    message = f"{error.message} {error.hint}".strip() if error.hint else error.message
    body = {"error": error.error, "message": message} | error.facts
    if error.hint:
        body["hint"] = error.hint
    return JSONResponse(body, status_code=error.status, headers=error.headers)


def add_error_handlers(app: FastAPI) -> None:
    """Let every error of an app end in that one shape."""
    app.add_exception_handler(CornermanError, _on_cornerman_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_crash)


async def _on_cornerman_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, CornermanError)
    answer = as_gateway_error(error)
    if answer.status >= 500 and not isinstance(error, KillSwitchActiveError):
        log.error("%s: %s", answer.error, error.message)
    return error_response(answer)


async def _on_invalid_request(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problems: list[str] = []
    for detail in error.errors()[:10]:
        where = ".".join(str(part) for part in detail["loc"][1:]) or str(detail["loc"][0])
        name = str(detail["loc"][-1])
        given = "" if detail["type"] == "missing" else f" ({shown(detail.get('input'), name)})"
        problems.append(f"{where}{given}: {detail['msg']}")
    return error_response(GatewayError(422, _TITLES[422], "; ".join(problems)))


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status, headers = error.status_code, dict(error.headers or {})
    if status == 400:
        status = 422  # a body that cannot be read is one more way of being invalid
    elif status == 405:
        headers["Allow"] = ", ".join(_methods_at(request))
    title = _TITLES.get(status, "Refused")
    return error_response(GatewayError(status, title, str(error.detail), headers=headers))


def _methods_at(request: Request) -> list[str]:
    """What may be done at this address; Starlette knows only the first route that has it."""
    found: set[str] = set()
    for route in request.app.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return sorted(found)


async def _on_crash(_request: Request, error: Exception) -> JSONResponse:
    log.error("A request crashed", exc_info=error)
    # What happened is for the log alone: it may hold anything.
    message = "The gateway failed at this request; its log says why."
    return error_response(GatewayError(500, _TITLES[500], message))
