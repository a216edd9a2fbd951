"""`cornerman serve`: the gateway."""

from __future__ import annotations

import importlib
import socket
from typing import Annotated, Any

import typer

from cornerman.cli.options import JsonOption
from cornerman.cli.output import Out
from cornerman.cli.store import database
from cornerman.domain.errors import CornermanError

DEFAULT_PORT = 8000
LOOPBACK = "127.0.0.1"


class AddressError(CornermanError):
    """Nothing can listen there."""

    code = "address"


def serve(
    port: Annotated[int, typer.Option("--port", min=1, max=65_535, help="Port to listen on.")] = (
        DEFAULT_PORT
    ),
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = LOOPBACK,
    json: JsonOption = False,
) -> None:
    """Serve HTTP, websocket, cron and the live page until interrupted."""
    out = Out(json)
    _refuse_taken(host, port)
    # An old schema is told here, not by the first caller's error.
    with database():
        pass
    address = f"http://{host}:{port}"
    monitor = f"{address}/admin/training-monitor"
    out.document({"address": address, "monitor": monitor})
    out.say(f"Gateway  {address}")
    out.say(f"Monitor  {monitor}")
    out.note("Ctrl-C ends it; runs that it started go on.", style=None)
    # By name: two entrances never import each other, so that either can be left out.
    gateway: Any = importlib.import_module("cornerman.gateway")
    gateway.serve(host=host, port=port)


def _refuse_taken(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise AddressError(
                f"Nothing can listen on {host} port {port}: {error.strerror or error}",
                hint=f"Something else may; choose another port: cornerman serve --port {port + 1}",
            ) from error
