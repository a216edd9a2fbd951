"""What the live page reads besides the rest of the API, and how two checkpoints differ."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi.responses import JSONResponse, Response

from cornerman.domain.errors import BadInputError
from cornerman.domain.texts import prompt_diff
from cornerman.domain.training.candidates import Checkpoint
from cornerman.gateway import views
from cornerman.gateway.auth import require_api
from cornerman.gateway.errors import WorkflowId, answers, require_text
from cornerman.gateway.hub import IDLE_SECONDS, SIGN_OF_LIFE, message, stream_response
from cornerman.gateway.models import (
    AnyBody,
    BattlesAnswer,
    EvaluationAnswer,
    SummaryAnswer,
    TrainingAnswer,
)
from cornerman.gateway.routes.checkpoints import require_checkpoint
from cornerman.gateway.routes.runs import LAST_SEQ
from cornerman.gateway.state import Gateway, GatewayDep
from cornerman.storage.run_reads import RunHead


def diff_checkpoints(before: Checkpoint, after: Checkpoint) -> dict[str, Any]:
    """Compare the prompts of two checkpoints word by word.

    Returns:
        `{before, after, prompts: [{name, changed, parts: [{op, text}]}]}`; a prompt that only
        one of them has is all insertion or all deletion. Changed prompts come first.
    """
    names = dict.fromkeys([*before.prompts, *after.prompts])
    compared = [_diff_prompt(name, before, after) for name in names]
    return {
        "before": _brief(before),
        "after": _brief(after),
        "prompts": sorted(compared, key=lambda prompt: not prompt["changed"]),
    }


def _diff_prompt(name: str, before: Checkpoint, after: Checkpoint) -> dict[str, Any]:
    old, new = (c.prompts[name].as_shown if name in c.prompts else "" for c in (before, after))
    parts = prompt_diff(old, new)
    return {
        "name": name,
        "changed": old != new,
        "parts": [{"op": part.op, "text": part.text} for part in parts],
    }


def _brief(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "id": checkpoint.id,
        "config_version": checkpoint.config_version,
        "validation_score": checkpoint.validation_score,
        "is_best": checkpoint.is_best,
        "created_at": checkpoint.created_at.isoformat(),
    }


router = APIRouter(prefix="/api/monitor", tags=["monitor"], dependencies=[require_api])

Workflow = Annotated[str | None, Query(max_length=128, description="Empty: the newest run's.")]
CheckpointId = Annotated[str, Query(min_length=1, max_length=128, description="A checkpoint.")]


@router.get("/summary", response_model=None, responses=answers(SummaryAnswer))
async def summary(gateway: GatewayDep, workflow: Workflow = None) -> JSONResponse:
    """The cards: battles, average, budgets, breakthroughs, kill-switch and runs."""
    require_text(workflow or "", "workflow")
    return JSONResponse(await gateway.db.read(views.summary, workflow, gateway.settings))


@router.get("/battles", response_model=None, responses=answers(BattlesAnswer))
async def battles(
    gateway: GatewayDep,
    workflow: Workflow = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> JSONResponse:
    """The newest battles, and each batch's average with its interval."""
    require_text(workflow or "", "workflow")
    return JSONResponse(await gateway.db.read(views.battle_list, workflow, limit))


@router.get("/training/{workflow}", response_model=None, responses=answers(TrainingAnswer))
async def training(gateway: GatewayDep, workflow: WorkflowId) -> JSONResponse:
    """The newest training run, its epochs and its newest cases."""
    require_text(workflow, "workflow")
    return JSONResponse(await gateway.db.read(views.training, workflow))


@router.get("/evaluation/{workflow}", response_model=None, responses=answers(EvaluationAnswer))
async def evaluation(gateway: GatewayDep, workflow: WorkflowId) -> JSONResponse:
    """The newest evaluation: its columns, its bar, and the cases on which the columns differ."""
    require_text(workflow, "workflow")
    return JSONResponse(await gateway.db.read(views.evaluation, workflow))


@router.get("/diff/{workflow}", response_model=None, responses=answers(AnyBody, 404))
async def diff(
    gateway: GatewayDep, workflow: WorkflowId, before: CheckpointId, after: CheckpointId
) -> JSONResponse:
    """The prompts of two checkpoints compared word by word."""
    old = await require_checkpoint(gateway, workflow, before)
    new = await require_checkpoint(gateway, workflow, after)
    return JSONResponse(diff_checkpoints(old, new))


# Not in the OpenAPI document: it has no end, which tools that call everything cannot know.
@router.get("/stream", response_model=None, include_in_schema=False)
async def stream(
    gateway: GatewayDep,
    after: Annotated[
        str | None, Query(max_length=10_000, description="The id of the last message that came.")
    ] = None,
    last_event_id: Annotated[str | None, Header(description="As `after`.")] = None,
) -> Response:
    """New events of all runs as they are written."""
    places = parse_places(last_event_id or after or "")
    return stream_response(_events(gateway, places), gateway.figures)


def parse_places(text: str) -> dict[str, int]:
    """Read a message's id: where its reader is, as `RUN:SEQ,RUN:SEQ`.

    Raises:
        BadInputError: It is no such id.
    """
    places: dict[str, int] = {}
    for part in text.split(",") if text else ():
        run_id, _, seq = part.rpartition(":")
        if not run_id or not (seq.isascii() and seq.isdecimal()) or len(seq) > 10:
            raise BadInputError(
                "after: expected the id of a message of this stream.",
                field="after",
                hint="Leave it out to read what comes from now on.",
            )
        places[run_id] = min(int(seq), LAST_SEQ)
    return places


async def _events(gateway: Gateway, places: dict[str, int]) -> AsyncIterator[str]:
    hub = gateway.hub
    async for found in hub.lines_of_all(places, idle_seconds=IDLE_SECONDS):
        chunk = ""
        for head, line in found:
            facts = {"run_id": head.id, "workflow_id": head.workflow_id}
            data = _status(head) if line is None else line.data
            data = data | facts | {"simulated": head.simulated}
            chunk += message(json.dumps(data, ensure_ascii=False))
        # One id for the whole chunk, on its last message: it comes complete or not at all.
        yield _with_id(chunk, hub.live_places(places)) if chunk else SIGN_OF_LIFE


def _status(head: RunHead) -> dict[str, Any]:
    return {"event": "run_status", "payload": {"kind": head.kind, "status": head.status}}


def _with_id(chunk: str, places: dict[str, int]) -> str:
    cursor = ",".join(f"{run_id}:{seq}" for run_id, seq in places.items())
    return f"{chunk[:-1]}id: {cursor}\n\n"
