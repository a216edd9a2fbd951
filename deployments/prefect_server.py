"""The process of a Prefect server that `cornerman serve` started: API, pages and all services.

`python -m cornerman.deployments.prefect_server PORT`; Prefect's own variables name the database.
"""

from __future__ import annotations

import sys

import uvicorn

from cornerman.deployments.supervise import end_with_parent

_GOODBYE_SECONDS = 2


def main() -> None:
    """Serve Prefect on loopback until told to stop."""
    config = uvicorn.Config(
        "cornerman.flows.plumbing.patient:prefect_app",
        factory=True,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="warning",
        timeout_keep_alive=5,
        timeout_graceful_shutdown=_GOODBYE_SECONDS,
    )
    server = uvicorn.Server(config)

    def stop() -> None:
        server.should_exit = True

    end_with_parent(stop)
    server.run()


if __name__ == "__main__":
    main()
