"""Prefect's server on SQLite, patient with its own database.

Two requests that meet make SQLite refuse one of them. Prefect then answers 503, and its client
sleeps for two seconds and more, although the database is free a moment later. So the server that
Cornerman starts tries such a request again by itself before anybody hears of it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

# Prefect writes each event of a task run in a transaction of its own, three a task. Together, once
# a second, they cost its server a third of the processor time (measured: 28 ms a case, now 9).
IN_BATCHES = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "50",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "100",
}

# None of Prefect's transactions takes more than milliseconds. Where two wait for each other, its
# own minute would hold up every run; after this one of them is undone and done again.
LONGEST_LOCK_MS = 5_000
PATIENCE_SECONDS = 10.0
_PAUSE_SECONDS = (0.01, 0.05)
_BUSY = 503

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def prefect_app() -> Any:
    """Prefect's own app: patient on SQLite, as it is on PostgreSQL.

    PostgreSQL refuses nobody for being busy: what fails there would fail again.
    """
    from prefect.settings import get_current_settings

    from cornerman.flows.plumbing.prefect_private import (
        part,
        require_schedules,
        shorten_lock_waits,
    )
    from cornerman.flows.plumbing.rows_at_once import write_rows_beside

    address = get_current_settings().server.database.connection_url
    require_schedules()
    create_app = part("create_app")
    if address is not None and not address.get_secret_value().startswith("sqlite"):
        return create_app()
    shorten_lock_waits(LONGEST_LOCK_MS)
    write_rows_beside()
    return patient(create_app())


def patient(app: Any, seconds: float = PATIENCE_SECONDS) -> Any:
    """An ASGI app that does again what `app` answers with 503.

    What was refused has been rolled back, which is why Prefect's own client may ask again too.

    Args:
        seconds: After so long the client hears of it.
    """

    async def trying(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        give_up = loop.time() + seconds
        asked = await _whole(receive)
        while await _is_refused(app, dict(scope), _replayed(asked, receive), send):
            await asyncio.sleep(random.uniform(*_PAUSE_SECONDS))
            if loop.time() > give_up:
                await app(scope, _replayed(asked, receive), send)
                return

    return trying


async def _whole(receive: Receive) -> list[Message]:
    """All messages of a request, to be read more than once."""
    asked = [await receive()]
    while asked[-1].get("more_body"):
        asked.append(await receive())
    return asked


def _replayed(asked: list[Message], receive: Receive) -> Receive:
    left = iter(asked)

    async def replay() -> Message:
        for message in left:
            return message
        return await receive()

    return replay


async def _is_refused(app: Any, scope: Message, receive: Receive, send: Send) -> bool:
    """Whether the app answered that it is busy, which is not sent on; all else is."""
    refused = False

    async def unless_busy(message: Message) -> None:
        nonlocal refused
        if message["type"] == "http.response.start":
            refused = message["status"] == _BUSY
        if not refused:
            await send(message)

    try:
        await app(scope, receive, unless_busy)
    except Exception:
        # Starlette answers, then raises what the answer is about.
        if not refused:
            raise
    return refused
