"""A real gateway on loopback, and clients for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from websockets.sync.client import ClientConnection, connect

from cornerman.domain.runs import NewEvent
from cornerman.gateway.serve import make_server
from cornerman.settings import Settings, load_settings, reset_settings
from cornerman.storage import events, runs, workflows
from cornerman.storage.database import Database

API_TOKEN = "api-token-of-the-tests"
CRON_SECRET = "cron-secret-of-the-tests"
API = {"Authorization": f"Bearer {API_TOKEN}"}
CRON = {"Authorization": f"Bearer {CRON_SECRET}"}


class Served:
    """A gateway that listens."""

    def __init__(self, port: int, settings: Settings, db: Database, server: uvicorn.Server) -> None:
        self.port = port
        self.settings = settings
        self.db = db
        self.server = server
        self.url = f"http://127.0.0.1:{port}"
        self.http = httpx.Client(base_url=self.url, headers=API, timeout=20)
        self.open = httpx.Client(base_url=self.url, timeout=20)
        self.cron = httpx.Client(base_url=self.url, headers=CRON, timeout=60)

    def ws(self, workflow: str = "support", token: str = API_TOKEN, **options: Any) -> Any:
        """Connect a websocket client."""
        address = f"ws://127.0.0.1:{self.port}/ws/workflow/{workflow}"
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return connect(address, additional_headers=headers, max_size=None, **options)


@contextlib.contextmanager
def running(settings: Settings, db: Database) -> Iterator[Served]:
    """Serve in a thread of this process, on a database that the test can write to as well."""
    server = make_server(settings, "127.0.0.1", 0)
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([sock])), daemon=True)
    thread.start()
    give_up = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive() and time.monotonic() < give_up, "the gateway did not start"
        time.sleep(0.01)
    served = Served(sock.getsockname()[1], settings, db, server)
    try:
        yield served
    finally:
        for client in (served.http, served.open, served.cron):
            client.close()
        server.handle_exit(2, None)
        thread.join(15)
        assert not thread.is_alive(), "the gateway did not stop"


def settings_for(patch: pytest.MonkeyPatch, db: Database, **env: str) -> Settings:
    """Settings by environment variables, so that processes of runs see them too."""
    url = db.engine.url.render_as_string(hide_password=False)
    values = {
        "USE_LOCAL_DB": "true",
        "LOCAL_DB_URL": url.replace("postgresql+psycopg", "postgresql"),
        "API_TOKEN": API_TOKEN,
        "CRON_SECRET": CRON_SECRET,
        "PYTHONDONTWRITEBYTECODE": "1",
    } | env
    for name, value in values.items():
        patch.setenv(name, value)
    reset_settings()
    return load_settings(env_file=None)


def new_run(db: Database, run_id: str, *, kind: Any = "train", workflow: str = "support") -> None:
    """Store a running run that this process seems to work on."""
    with db.writing() as session:
        workflows.create_workflow(session, workflow)
        runs.create_run(
            session,
            run_id=run_id,
            kind=kind,
            workflow_id=workflow,
            request={},
            random_state={},
            simulated=True,
        )
        runs.claim_run(session, run_id, "tests:1:x")


def say(
    db: Database, run_id: str, *payloads: dict[str, Any], event: str = "training_progress"
) -> None:
    """Append events to a run's log."""
    with db.writing() as session:
        for payload in payloads:
            events.create_event(session, run_id, NewEvent("agentensor_trainer", event, payload))


def end(db: Database, run_id: str, status: Any = "completed", **facts: Any) -> None:
    """End a run."""
    with db.writing() as session:
        runs.finish_run(session, run_id, status=status, **facts)


def until(check: Callable[[], Any], seconds: float = 10.0, what: str = "") -> Any:
    """Wait for a truthy answer."""
    give_up = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < give_up, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return found


def send(socket: ClientConnection, **message: Any) -> None:
    """Send one JSON message."""
    socket.send(json.dumps(message))


def receive(socket: ClientConnection, timeout: float = 10.0) -> Any:
    """Receive one JSON message."""
    return json.loads(socket.recv(timeout=timeout))


def receive_all(socket: ClientConnection, timeout: float = 20.0) -> tuple[list[Any], Any]:
    """Receive events until the status that ends them; returns both."""
    seen: list[Any] = []
    while "status" not in (message := receive(socket, timeout)):
        seen.append(message)
    return seen, message
