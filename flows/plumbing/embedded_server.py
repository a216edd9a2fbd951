"""The embedded Prefect server: `python -m cornerman.flows.plumbing.embedded_server HOW FOLDER`.

`alone` it serves its parent and ends when the parent does, however the parent ends: its standard
input is a pipe from the parent, and the end of that pipe is the end of the server and its folder.
`shared` it serves every process that holds it, and ends once nobody has for the idle time.

It listens before it imports Prefect, so that who asks meanwhile waits instead of being refused.
"""

from __future__ import annotations

import contextlib
import os
import select
import sqlite3  # Prefect's own file, not Cornerman's storage
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from cornerman.flows.plumbing.home_server import ServerFolder, ServerHome, is_same, listening
from cornerman.flows.plumbing.processes import started_at

_LOOK_SECONDS = 0.5
# Prefect's client asks for a task's place under the limits of its tags, one task after another.
# Nobody can set a limit on this server, so the answer needs no database.
_TAG_LIMITS_PATH = "/v2/concurrency_limits/increment-with-lease"


def make_app() -> Any:
    """Prefect's API, quick to grant what has no limit, and patient with its database."""
    from cornerman.flows.plumbing.patient import prefect_app

    app: Any = prefect_app()

    async def quick(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].endswith(_TAG_LIMITS_PATH):
            await _grant(scope, receive, send)
        else:
            await app(scope, receive, send)

    return quick


async def _grant(scope: Any, receive: Any, send: Any) -> None:
    """Answer as Prefect's server does where none of the names has a limit."""
    from starlette.responses import JSONResponse

    granted = JSONResponse({"lease_id": str(uuid4()), "limits": []})
    await granted(scope, receive, send)


def _end_with_parent(folder: ServerFolder, parent: int) -> None:
    # What the parent forked may hold the pipe open, so the parent's number is looked at too.
    while os.getppid() == parent:
        ready, _, _ = select.select([0], [], [], _LOOK_SECONDS)
        if ready and not os.read(0, 4096):
            break
    # At once: nobody will read what it holds. The parent removes the folder when it can; a
    # killed one cannot.
    folder.remove()
    os._exit(0)


def _end_when_idle(folder: ServerFolder) -> None:
    home = ServerHome.of(folder)
    used_at = time.monotonic()
    while True:
        time.sleep(_LOOK_SECONDS)
        if not _is_mine(folder):
            os._exit(0)  # another one serves in its place, or the folder is gone
        if folder.is_used:
            used_at = time.monotonic()
        elif time.monotonic() - used_at >= folder.idle_seconds():
            _end_unless_used(home, folder)


def _end_unless_used(home: ServerHome, folder: ServerFolder) -> None:
    # Whoever joins does so under this lock, so nobody can from here on.
    with home.locked(wait=False) as locked:
        if locked and not folder.is_used:
            folder.remove()
            home.remove_empty()
            os._exit(0)


def _is_mine(folder: ServerFolder) -> bool:
    return folder.read().pid in (0, os.getpid())


def _keep_template(folder: ServerFolder, template: Path) -> None:
    """Keep the freshly migrated database for the next server, whole or not at all."""
    if template.exists():
        return
    template.parent.mkdir(parents=True, exist_ok=True)
    partial = template.with_suffix(f".{os.getpid()}")
    with (
        contextlib.closing(sqlite3.connect(folder.path / "prefect.db")) as source,
        contextlib.closing(sqlite3.connect(partial)) as target,
    ):
        source.backup(target)
    partial.replace(template)


def main() -> None:
    """Serve Prefect's API on loopback."""
    how, folder = sys.argv[1], ServerFolder(Path(sys.argv[2]))
    before = folder.read()
    listener = listening(before.port)
    pid = os.getpid()
    mine = replace(before, pid=pid, start=started_at(pid), port=listener.getsockname()[1])
    os.environ["PREFECT_SERVER_API_AUTH_STRING"] = mine.token
    folder.write(mine)
    watched = (_end_with_parent, (folder, os.getppid())) if how == "alone" else None
    target, arguments = watched or (_end_when_idle, (folder,))
    threading.Thread(target=target, args=arguments, daemon=True).start()

    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            template = os.environ.get("CORNERMAN_PREFECT_TEMPLATE")
            if template:
                _keep_template(folder, Path(template))
            if is_same(folder.read(), mine):
                folder.write(replace(mine, ready=True))

    config = uvicorn.Config(
        "cornerman.flows.plumbing.embedded_server:make_app",
        factory=True,
        log_level="critical",
        lifespan="on",
        # What is still open belongs to clients that wait for it in vain.
        timeout_graceful_shutdown=2,
    )
    Server(config).run(sockets=[listener])
    if how == "shared":
        _end_unless_used(ServerHome.of(folder), folder)


if __name__ == "__main__":
    main()
