"""Which refusals the OpenAPI document names.

Every refusal as `{"error", "message"}`, with a hint that says what mends it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import FastAPI, Path, Request
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
from cornerman.domain.runs import Run
from cornerman.gateway.models import ErrorBody
from cornerman.runner.start import DeploymentError

_WHY = {
    401: "The secret is missing or wrong.",
    403: "A change by cookie that does not come from the monitor's page.",
    404: "There is no such thing.",
    409: "Something that is there already is in the way; `id` names it.",
    413: "The body is over the limit.",
    422: "The request cannot be accepted as it came.",
    429: "Too many wrong secrets from this address; see Retry-After.",
    500: "The settings lack the secret.",
    503: "The database or Prefect is away, or the kill-switch is on.",
    504: "The batch did not end within the time limit; it goes on.",
}
_ALWAYS = (401, 403, 413, 422, 429, 500, 503)

Responses = dict[int | str, dict[str, Any]]


def answers(ok: Any, *more: int, status: int = 200) -> Responses:
    """The `responses` of a route: its good answer, what every route may refuse, and `more`."""
    refusals = {code: {"model": ErrorBody, "description": _WHY[code]} for code in (*_ALWAYS, *more)}
    return {status: {"model": ok}, **refusals}


WorkflowId = Annotated[
    str, Path(min_length=1, max_length=128, description="Id of a workflow.", alias="workflow")
]
Id = Annotated[str, Path(min_length=1, max_length=128, alias="id")]


def require_run(run: Run | None, run_id: str) -> Run:
    """The run, or the refusal."""
    if run is None:
        raise not_found("run", run_id)
    return run


def require_text(text: str, what: str) -> str:
    """Refuse a name that no database could hold, before one is asked for it."""
    if "\x00" in text:
        raise not_found(what, text)
    return text


log = logging.getLogger(__name__)

# The words under which people look their trouble up.
NO_PERSONAS = "No active personas found"
KILL_SWITCH = "Kill-switch activated"
TIME_OUT = "Execution timeout"
KILL_SWITCH_HINT = (
    "Check individual battle costs, reduce the batch size if needed, then: "
    "cornerman kill-switch off"
)

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
_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
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


def not_found(what: str, name: str, *, workflow: str | None = None) -> NotFoundError:
    """The refusal of something that does not exist, or not in this workflow."""
    where = "" if workflow is None else f" of workflow {shown(workflow)}"
    return NotFoundError(f"There is no {what} {shown(name)}{where}.", field=what)


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
        return GatewayError(status, title, error.message, hint=KILL_SWITCH_HINT, facts=facts)
    elif isinstance(error, (StorageError, DeploymentError)):
        title = "Database unavailable" if isinstance(error, StorageError) else "Prefect unavailable"
    elif isinstance(error, NotFoundError) and error.field == "personas":
        status, title = 422, NO_PERSONAS
    return GatewayError(status, title, error.message, hint=error.hint, facts=facts)


def error_response(error: GatewayError) -> JSONResponse:
    """The answer itself; the hint is part of the message, so that nobody misses it."""
    body = {"error": error.error, "message": with_hint(error.message, error.hint)} | error.facts
    if error.hint:
        body["hint"] = error.hint
    return JSONResponse(body, status_code=error.status, headers=error.headers)


def with_hint(message: str, hint: str) -> str:
    """A message and what mends it, as sentences; whoever reads one must not miss the other."""
    if not hint:
        return message
    stop = "" if message.endswith((".", "!", "?", ":", ";")) else "."
    return f"{message}{stop} {hint}"


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
    details = error.errors()[:10]
    message = "; ".join(_problem(detail) for detail in details)
    # Curl says of a body that it is a form unless it is told otherwise.
    untyped = any(isinstance(detail.get("input"), bytes) for detail in details)
    hint = "Say that it is JSON: -H 'Content-Type: application/json'" if untyped else ""
    return error_response(GatewayError(422, _TITLES[422], message, hint=hint))


def _problem(detail: Mapping[str, Any]) -> str:
    """One thing that is wrong, with its place and what came there."""
    if detail["type"] == "json_invalid":
        return f"body: no valid JSON at character {detail['loc'][-1]}: {detail['ctx']['error']}"
    where = ".".join(str(part) for part in detail["loc"][1:]) or str(detail["loc"][0])
    name, said = str(detail["loc"][-1]), str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "missing":
        return f"{where}: {said}"
    if isinstance(detail.get("input"), bytes):
        return f"{where}: expected a JSON object"
    return f"{where} ({shown(detail.get('input'), name)}): {said}"


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status, headers = error.status_code, dict(error.headers or {})
    if status == 400:
        status = 422  # a body that cannot be read is one more way of being invalid
    elif status == 405:
        headers["Allow"] = ", ".join(_methods_at(request))
    title = _TITLES.get(status, "Refused")
    message = _plain(request, status, headers) or str(error.detail)
    return error_response(GatewayError(status, title, message, headers=headers))


def _plain(request: Request, status: int, headers: Mapping[str, str]) -> str:
    """What is said where the framework has but a title to say."""
    if status == 404:
        return f"There is nothing at {shown(request.url.path)}."
    if status == 405:
        return f"{request.method} does not go here; allowed: {headers['Allow']}."
    return ""


def _methods_at(request: Request) -> list[str]:
    """What may be done at this address; Starlette knows only the first route that has it."""

    def goes(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    return [method for method in _METHODS if goes(method)]


async def _on_crash(_request: Request, error: Exception) -> JSONResponse:
    log.error("A request crashed", exc_info=error)
    # What happened is for the log alone: it may hold anything.
    message = "The gateway failed at this request; its log says why."
    return error_response(GatewayError(500, _TITLES[500], message))
