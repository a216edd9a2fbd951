"""The app: parts put together, started and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from cornerman.gateway.auth import ApiCaller
from cornerman.gateway.errors import add_error_handlers
from cornerman.gateway.figures import Figures
from cornerman.gateway.hub import EventHub
from cornerman.gateway.middleware import BodyLimit, CallContext, FailureLimiter
from cornerman.gateway.routes import ROUTERS
from cornerman.gateway.state import Gateway, Sessions
from cornerman.gateway.websocket import router as websocket_router
from cornerman.runner import LaunchFolder, Supervisor
from cornerman.settings import Settings, get_settings
from cornerman.storage.database import Database, migrate

_DESCRIPTION = "Train workflows, hold battles, watch both live and stop them."


def create_app(
    settings: Settings | None = None,
    db: Database | None = None,
    *,
    bound_to_loopback: bool = True,
) -> FastAPI:
    """Make the gateway's app.

    Args:
        settings: None: the process's.
        db: An open database at the right schema, which the caller closes; None: the configured
            one, opened while the app runs.
        bound_to_loopback: Whether it is served on loopback alone; CORNERMAN_INSECURE_LOCAL has
            no effect otherwise.
    """
    settings = settings or get_settings()
    figures = Figures()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with _opened(settings, db) as held:
            app.state.gateway = _gateway(settings, held, figures, bound_to_loopback)
            async with _working(app.state.gateway):
                yield

    app = FastAPI(
        title="Cornerman",
        version=version("cornerman"),
        description=_DESCRIPTION,
        lifespan=lifespan,
        # The usual pages load scripts from elsewhere; the document itself needs the token.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    add_error_handlers(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(CallContext, figures=figures)
    for router in ROUTERS:
        app.include_router(router)
    app.include_router(websocket_router)
    app.add_api_route("/openapi.json", _openapi(app), include_in_schema=False)
    return app


def _openapi(app: FastAPI) -> Any:
    async def openapi(_caller: ApiCaller) -> JSONResponse:
        return JSONResponse(app.openapi())

    return openapi


def _gateway(settings: Settings, db: Database, figures: Figures, loopback: bool) -> Gateway:
    token = settings.api_token
    return Gateway(
        settings=settings,
        db=db,
        hub=EventHub(db, figures),
        figures=figures,
        limiter=FailureLimiter(),
        sessions=Sessions(token.get_secret_value() if token else None),
        bound_to_loopback=loopback,
    )


@contextlib.asynccontextmanager
async def _opened(settings: Settings, db: Database | None) -> AsyncGenerator[Database]:
    if db is not None:
        yield db
        return
    opened = Database(settings.database_url().url.get_secret_value())
    try:
        await asyncio.to_thread(migrate.require_current, opened)
        yield opened
    finally:
        await asyncio.to_thread(opened.close)


@contextlib.asynccontextmanager
async def _working(gateway: Gateway) -> AsyncGenerator[None]:
    """Poll for events and look after runs while the app runs; runs go on when it ends."""
    tasks = [asyncio.create_task(gateway.hub.run_forever(), name="event-hub")]
    if gateway.settings.prefect_api_url is None:
        supervisor = Supervisor(gateway.db, LaunchFolder(gateway.settings.home))
        tasks.append(asyncio.create_task(supervisor.run_forever(), name="supervisor"))
    try:
        yield
    finally:
        gateway.hub.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
