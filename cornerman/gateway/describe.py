"""Which refusals the OpenAPI document names."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path

from cornerman.domain.runs import Run
from cornerman.gateway.errors import not_found
from cornerman.gateway.models import ErrorBody

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
