"""Is it well, and how does it fare."""

from __future__ import annotations

import asyncio
import time
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from cornerman.gateway.auth import require_api
from cornerman.gateway.errors import answers
from cornerman.gateway.models import Health
from cornerman.gateway.state import Gateway, GatewayDep
from cornerman.runner.start import is_healthy
from cornerman.storage.budgets import read_kill_switch

router = APIRouter(tags=["health"])
_ASK_SECONDS = 3.0
_FRESH_SECONDS = 5.0


class _Asked:
    """What Prefect answered last, so that anybody's asking does not become a load on it."""

    at = 0.0
    answer = ""


@router.get(
    "/healthz",
    response_model=None,
    responses={200: {"model": Health}, 503: {"model": Health, "description": "Something is away."}},
)
async def healthz(gateway: GatewayDep) -> JSONResponse:
    """Health of the database and of Prefect. Open to all, and tells no details."""
    database = await _ask(gateway.db.read(read_kill_switch))
    prefect = await _prefect(gateway)
    well = database == "ok" and prefect in ("ok", "embedded")
    body = {
        "status": "ok" if well else "unavailable",
        "database": database,
        "prefect": prefect,
        "version": version("cornerman"),
    }
    return JSONResponse(body, status_code=200 if well else 503)


async def _ask(question: Any) -> str:
    try:
        async with asyncio.timeout(_ASK_SECONDS):
            await question
    except Exception:  # noqa: BLE001 - whatever it is, the part is away
        return "unavailable"
    return "ok"


async def _prefect(gateway: Gateway) -> str:
    url = gateway.settings.prefect_api_url
    if url is None:
        return "embedded"  # each run brings its own
    if time.monotonic() - _Asked.at > _FRESH_SECONDS:
        _Asked.answer = await _ask(_require_prefect(url))
        _Asked.at = time.monotonic()
    return _Asked.answer


async def _require_prefect(url: str) -> None:
    if not await asyncio.to_thread(is_healthy, url):
        raise ConnectionError(url)


@router.get(
    "/metrics",
    response_model=None,
    dependencies=[require_api],
    responses=answers(None) | {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(gateway: GatewayDep) -> Response:
    """Figures in Prometheus' text format."""
    text = await gateway.figures.text(gateway.db)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
