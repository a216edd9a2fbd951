"""`python -m cornerman.rehearsal`: serve until stopped, or until the parent is gone."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import select
import signal
import sys
import threading

from cornerman.rehearsal.http_server import HttpConnection
from cornerman.rehearsal.words import Timing

HOST = "127.0.0.1"


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="cornerman.rehearsal", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--latency-ms", type=float, default=20.0)
    parser.add_argument("--jitter-ms", type=float, default=0.0, help="at most this much more")
    parser.add_argument("--with-parent", action="store_true", help="exit when stdin closes")
    arguments = parser.parse_args()
    timing = Timing(max(0.0, arguments.latency_ms), max(0.0, arguments.jitter_ms))
    if arguments.with_parent:
        # Ctrl-C reaches the whole group; the parent still needs answers while it winds down.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_exit_with_parent, args=(os.getppid(),), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(arguments.port, arguments.seed, timing))


async def _serve(port: int, seed: int, timing: Timing) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: HttpConnection(seed, timing), HOST, port, backlog=1024
    )
    bound = server.sockets[0].getsockname()[1]
    sys.stdout.write(json.dumps({"base_url": f"http://{HOST}:{bound}/v1"}) + "\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


def _exit_with_parent(parent: int) -> None:
    """End the process when stdin closes, or when the parent changes.

    A process that the parent forked may hold the pipe open, so the end of file is not enough.
    """
    while os.getppid() == parent:
        ready, _, _ = select.select([0], [], [], 0.5)
        if ready and not os.read(0, 4096):
            break
    os._exit(0)


if __name__ == "__main__":
    main()
