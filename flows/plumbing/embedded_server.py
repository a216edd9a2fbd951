"""The embedded Prefect server: `python -m cornerman.flows.plumbing.embedded_server PORT FOLDER`.

It serves this one parent and ends when the parent does, however the parent ends: its standard
input is a pipe from the parent, and the end of that pipe is the end of the server and its folder.
"""

from __future__ import annotations

import os
import select
import shutil
import sys
import threading
from typing import Any
from uuid import uuid4

import uvicorn
from starlette.responses import JSONResponse

from cornerman.flows.plumbing.patient import prefect_app

_LOOK_SECONDS = 0.5
# Prefect's client asks for a task's place under the limits of its tags, one task after another.
# Nobody can set a limit on this server, so the answer needs no database.
_TAG_LIMITS_PATH = "/v2/concurrency_limits/increment-with-lease"


def make_app() -> Any:
    """Prefect's API, quick to grant what has no limit, and patient with its database."""
    app: Any = prefect_app()

    async def quick(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].endswith(_TAG_LIMITS_PATH):
            await _grant(scope, receive, send)
        else:
            await app(scope, receive, send)

    return quick


async def _grant(scope: Any, receive: Any, send: Any) -> None:
    """Answer as Prefect's server does where none of the names has a limit."""
    granted = JSONResponse({"lease_id": str(uuid4()), "limits": []})
    await granted(scope, receive, send)


def _end_with_parent(folder: str, parent: int) -> None:
    # What the parent forked may hold the pipe open, so the parent's number is looked at too.
    while os.getppid() == parent:
        ready, _, _ = select.select([0], [], [], _LOOK_SECONDS)
        if ready and not os.read(0, 4096):
            break
    # At once: nobody will read what it holds. The parent removes the folder when it can; a
    # killed one cannot.
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


def main() -> None:
    """Serve Prefect's API on loopback."""
    port, folder = int(sys.argv[1]), sys.argv[2]
    config = uvicorn.Config(
        "cornerman.flows.plumbing.embedded_server:make_app",
        factory=True,
        host="127.0.0.1",
        port=port,
        log_level="critical",
        lifespan="on",
    )
    server = uvicorn.Server(config)
    watched = (folder, os.getppid())
    threading.Thread(target=_end_with_parent, args=watched, daemon=True).start()
    server.run()


if __name__ == "__main__":
    main()
