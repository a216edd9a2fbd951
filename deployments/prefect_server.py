"""The process of a Prefect server that `cornerman serve` started: API, pages and all services.

`python -m deployments.prefect_server PORT`; the database comes by Prefect's own variables.
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn

from deployments.parent import end_with_parent
from flows.patient import patient, shorten_lock_waits

_GOODBYE_SECONDS = 2


def make_app() -> Any:
    """Prefect's API and pages, patient with a database on SQLite."""
    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    address = get_current_settings().server.database.connection_url
    # PostgreSQL refuses nobody for being busy: what fails there would fail again.
    is_on_sqlite = address is None or address.get_secret_value().startswith("sqlite")
    if not is_on_sqlite:
        return create_app()
    shorten_lock_waits()
    return patient(create_app())


def main() -> None:
    """Serve Prefect on loopback until told to stop."""
    config = uvicorn.Config(
        "deployments.prefect_server:make_app",
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
