"""`cornerman serve`: the gateway."""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import typer

from cornerman.cli.options import JsonOption

DEFAULT_PORT = 8788


def serve(
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="Port to listen on.")] = (
        DEFAULT_PORT
    ),
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    json: JsonOption = False,
) -> None:
    """Serve HTTP, websocket, cron and the live page until interrupted."""
    # By name: two entrances never import each other, so that either can be left out.
    gateway: Any = importlib.import_module("cornerman.gateway")
    gateway.serve(host=host, port=port)
