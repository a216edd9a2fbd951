"""Runs: their state, their events, and their end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from cornerman.domain.money import pico_to_usd
from cornerman.domain.runs import Event, Run, case_subject
from cornerman.gateway.auth import require_api
from cornerman.gateway.errors import (
    Id,
    Responses,
    answers,
    not_found,
    require_run,
    require_text,
)
from cornerman.gateway.hub import IDLE_SECONDS, SIGN_OF_LIFE, end_message, message, stream_response
from cornerman.gateway.models import CallBody, EventBody, RunBody
from cornerman.gateway.state import Gateway, GatewayDep
from cornerman.runner import cancel_run
from cornerman.storage import events, ledger, runs, traces

router = APIRouter(prefix="/api/runs", tags=["runs"], dependencies=[require_api])

LAST_SEQ = 2**31 - 1


def run_body(run: Run, cost_pico: int) -> dict[str, Any]:
    """A run as the API shows it."""
    return {
        "id": run.id,
        "kind": run.kind,
        "workflow_id": run.workflow_id,
        "status": run.status,
        "stopped_by": run.stopped_by,
        "metrics": run.metrics_at(cost_pico),
        "result": run.result,
        # Stacks are for the log; they may quote anything.
        "error": run.error and {k: v for k, v in run.error.items() if k != "stack"},
        "simulated": run.simulated,
        "last_seq": run.last_seq,
        "cost_usd": pico_to_usd(cost_pico),
        "cancel_requested": run.cancel_requested_at is not None,
        "created_at": run.created_at.isoformat(),
        "started_at": run.started_at and run.started_at.isoformat(),
        "finished_at": run.finished_at and run.finished_at.isoformat(),
    }


@router.get("", response_model=None, responses=answers(list[RunBody]))
async def list_runs(
    gateway: GatewayDep,
    kind: Annotated[
        Literal["train", "evaluate", "battle", "scout", "judge"] | None, Query()
    ] = None,
    active: Annotated[bool | None, Query(description="Only those that go on, or ended.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
) -> JSONResponse:
    """Runs, newest first."""
    found = await gateway.db.read(_read_many, kind=kind, active=active, limit=limit)
    return JSONResponse(found)


def _read_many(session: Any, **filters: Any) -> list[dict[str, Any]]:
    return [
        run_body(run, ledger.read_run_cost_pico(session, run.id))
        for run in runs.read_runs(session, **filters)
    ]


@router.get("/{id}", response_model=None, responses=answers(RunBody, 404))
async def read_run(gateway: GatewayDep, run_id: Id) -> JSONResponse:
    """A run's state, figures and, when it has ended, result."""
    return JSONResponse(await _body(gateway, run_id))


@router.post("/{id}/cancel", response_model=None, responses=answers(RunBody, 404, status=202))
async def cancel(gateway: GatewayDep, run_id: Id) -> JSONResponse:
    """Ask a run to end; it does within two seconds. One that has ended stays as it is."""
    require_text(run_id, "run")
    await cancel_run(gateway.db, run_id, settings=gateway.settings)
    return JSONResponse(await _body(gateway, run_id), status_code=202)


async def _body(gateway: Gateway, run_id: str) -> dict[str, Any]:
    require_text(run_id, "run")
    run, cost = await gateway.db.read(_read_one, run_id)
    return run_body(require_run(run, run_id), cost)


def _read_one(session: Any, run_id: str) -> tuple[Run | None, int]:
    return runs.read_run(session, run_id), ledger.read_run_cost_pico(session, run_id)


_EVENTS: Responses = answers(list[EventBody], 404)
_EVENTS[200]["content"] = {"text/event-stream": {"schema": {"type": "string"}}}


@router.get("/{id}/events", response_model=None, responses=_EVENTS)
async def read_events(
    request: Request,
    gateway: GatewayDep,
    run_id: Id,
    after: Annotated[int, Query(ge=0, le=LAST_SEQ, description="Only later ones.")] = 0,
    limit: Annotated[int, Query(ge=1, le=5_000)] = 1_000,
    last_event_id: Annotated[str | None, Header(description="As `after`, for streams.")] = None,
) -> Response:
    """Events in their order: as JSON, or live with `Accept: text/event-stream`."""
    require_text(run_id, "run")
    if "text/event-stream" in request.headers.get("accept", ""):
        require_run(await gateway.db.read(runs.read_run, run_id), run_id)
        place = _place(last_event_id, after)
        return stream_response(_stream(gateway, run_id, place), gateway.figures)
    run, found = await gateway.db.read(_read_events, run_id, after=after, limit=limit)
    require_run(run, run_id)
    return JSONResponse([event.as_dict() for event in found])


@router.get(
    "/{id}/cases/{case_id}/trace", response_model=None, responses=answers(list[CallBody], 404)
)
async def read_case_trace(
    gateway: GatewayDep,
    run_id: Id,
    case_id: Annotated[str, Path(description="The case's id.")],
    candidate: Annotated[str | None, Query(description="By default the run's best.")] = None,
    repeat: Annotated[int, Query(ge=0, le=1_000)] = 0,
) -> JSONResponse:
    """The model calls of one case in order, with what was said."""
    for name, value in (("run", run_id), ("case", case_id), ("candidate", candidate or "c0")):
        require_text(value, name)
    run, calls = await gateway.db.read(_read_trace, run_id, case_id, candidate, repeat)
    require_run(run, run_id)
    if not calls:
        raise not_found("call of case", case_id)
    return JSONResponse(calls)


def _read_trace(
    session: Any, run_id: str, case_id: str, candidate: str | None, repeat: int
) -> tuple[Run | None, list[dict[str, Any]]]:
    run = runs.read_run(session, run_id)
    if run is None:
        return None, []
    subject = case_subject(candidate or run.best_candidate_id, case_id, repeat)
    return run, traces.read_trace(session, run_id, subject)


def _place(last_event_id: str | None, after: int) -> int:
    """Where a returning reader was; what it says itself comes before the address."""
    if last_event_id is not None and last_event_id.isdecimal():
        return min(int(last_event_id), LAST_SEQ) if len(last_event_id) <= 10 else LAST_SEQ
    return after


def _read_events(session: Any, run_id: str, **page: Any) -> tuple[Run | None, list[Event]]:
    return runs.read_run(session, run_id), events.read_events(session, run_id, **page)


async def _stream(gateway: Gateway, run_id: str, after: int) -> AsyncIterator[str]:
    async for lines in gateway.hub.lines(run_id, after, idle_seconds=IDLE_SECONDS):
        chunk = "".join(message(line.text, id=str(line.event.seq)) for line in lines)
        yield chunk or SIGN_OF_LIFE
    run = await gateway.db.read(runs.read_run, run_id)
    if run is not None and run.finished:
        yield end_message({"status": run.status, "stopped_by": run.stopped_by})
