"""Prefect without a server set up beforehand.

With no `PREFECT_API_URL`, Prefect would start a temporary server of its own, which outlives a
killed parent and runs services that one process does not need. This one is lighter, and shared by
all flows of a process and all commands of a CORNERMAN_HOME; see design/embedded-prefect.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any, ParamSpec, TypeVar, cast

from prefect import Flow
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from pydantic import BaseModel

from cornerman.flows.plumbing.embedded_client import EmbeddedServer, take_begun
from cornerman.flows.plumbing.prefect_private import part, require_parts
from cornerman.flows.plumbing.server_state import show_cancelled

P = ParamSpec("P")
R = TypeVar("R")

_DRAIN_SECONDS = 5.0
_CLIENT_SETTINGS: dict[Any, Any] = {"logging.to_api.enabled": False}
_CLIENT_LOGGERS = ("prefect", "prefect.flow_runs", "prefect.task_runs", "prefect.engine")


class _Embedded:
    """The embedded server that this process uses, and how many of its flows do."""

    def __init__(self) -> None:
        self.users = 0
        self.server: EmbeddedServer | None = None


_embedded = _Embedded()


@contextlib.asynccontextmanager
async def prefect_ready() -> AsyncGenerator[None]:
    """Make sure that flows have a Prefect server: the configured one, or the embedded one.

    Raises:
        CornermanError: The embedded server did not start.
    """
    require_parts()
    if PREFECT_API_URL.value():
        yield
        return
    _embedded.users += 1
    try:
        if _embedded.server is None:
            _embedded.server = await asyncio.to_thread(take_begun)
        record = await asyncio.to_thread(_embedded.server.until_ready)
        updates = {PREFECT_API_URL: record.url, PREFECT_API_AUTH_STRING: record.token}
        with temporary_settings(updates=updates | _CLIENT_SETTINGS), _quiet():
            try:
                yield
            finally:
                await drain_events()
    finally:
        _embedded.users -= 1
        server = _embedded.server
        if _embedded.users == 0 and server is not None:
            _embedded.server = None
            await asyncio.to_thread(server.end)


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Keep Prefect's line per task run off the console; the database has one per case."""
    loggers = [logging.getLogger(name) for name in _CLIENT_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


async def drain_events() -> None:
    """Let the last events reach the server before it goes."""
    drained = part("drain_events")()
    if asyncio.iscoroutine(drained) or isinstance(drained, asyncio.Future):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(cast(Any, drained), _DRAIN_SECONDS)


def serves_alone() -> bool:
    """Whether flows use an embedded server: nobody looks at it, and nobody cancels there."""
    return _embedded.server is not None


class ServedFlow(Flow[P, R]):
    """A flow that can be awaited from plain Python with no server set up beforehand.

    When its run was cancelled, by whatever means, its flow run ends as Cancelled.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("on_completion") is None:
            kwargs["on_completion"] = [show_cancelled]
        super().__init__(*args, **kwargs)

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """As Prefect's own, which imports FastAPI for it; pydantic alone gives the same."""
        if not all(isinstance(value, BaseModel) for value in parameters.values()):
            return super().serialize_parameters(parameters)
        models = cast("dict[str, BaseModel]", parameters)
        return {
            name: model.model_dump(mode="json", by_alias=True) for name, model in models.items()
        }

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:  # pyright: ignore
        call = cast("Callable[..., Coroutine[Any, Any, Any]]", super().__call__)

        async def run() -> Any:
            async with prefect_ready():
                return await call(*args, **kwargs)

        return run()
