"""The process of the embedded Prefect server: `python -m flows.embedded_server PORT`.

It serves this one parent and ends when the parent does, however the parent ends: its standard
input is a pipe from the parent, and the end of that pipe is the end of the server.
"""

from __future__ import annotations

import os
import sys
import threading
import time

import uvicorn

_LONGEST_GOODBYE_SECONDS = 2.0


def _end_with_parent(server: uvicorn.Server) -> None:
    sys.stdin.buffer.read()
    server.should_exit = True
    time.sleep(_LONGEST_GOODBYE_SECONDS)
    os._exit(0)


def main() -> None:
    """Serve Prefect's API on loopback."""
    config = uvicorn.Config(
        "prefect.server.api.server:create_app",
        factory=True,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="critical",
        lifespan="on",
    )
    server = uvicorn.Server(config)
    threading.Thread(target=_end_with_parent, args=(server,), daemon=True).start()
    server.run()


if __name__ == "__main__":
    main()
