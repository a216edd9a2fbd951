"""`cornerman serve`: everything that a machine runs, or the gateway alone."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import signal
import socket
from functools import partial
from typing import Annotated, Any

import typer

from cornerman.cli.output import Out
from cornerman.cli.store import JsonOption, database
from cornerman.domain.errors import CornermanError

DEFAULT_PORT = 8000
LOOPBACK = "127.0.0.1"
_MACHINE = "cornerman.deployments.serve"
_PARENT = "cornerman.deployments.supervise"


class AddressError(CornermanError):
    """Nothing can listen there."""

    code = "address"


def serve(
    port: Annotated[int, typer.Option("--port", min=1, max=65_535, help="Port to listen on.")] = (
        DEFAULT_PORT
    ),
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = LOOPBACK,
    gateway_only: Annotated[
        bool,
        typer.Option("--gateway-only", help="No Prefect server, no worker and no schedules."),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Serve gateway, live page, schedules and a worker until interrupted."""
    out = Out(json)
    if not gateway_only and importlib.util.find_spec(_MACHINE) is not None:
        _serve_machine(out, host, port)
        return
    is_child = _end_with_parent()
    _refuse_taken(host, port)
    # An old schema is told here, not by the first caller's error.
    with database():
        pass
    address = f"http://{host}:{port}"
    monitor = f"{address}/admin/training-monitor"
    if not is_child:
        out.document({"address": address, "monitor": monitor})
        out.say(f"Gateway  {address}")
        out.say(f"Monitor  {monitor}")
        out.note("Ctrl-C ends it; runs that it started go on.", style=None)
    # By name: two entrances never import each other, so that either can be left out.
    gateway: Any = importlib.import_module("cornerman.gateway")
    # Being told to stop is how a server ends well.
    with contextlib.suppress(KeyboardInterrupt):
        gateway.serve(host=host, port=port)


def _serve_machine(out: Out, host: str, port: int) -> None:
    from cornerman.settings import get_settings

    machine: Any = importlib.import_module(_MACHINE)
    try:
        with machine.only_one(get_settings().home) as path:
            _refuse_taken(host, port)
            with database():
                pass
            machine.serve(
                get_settings(),
                host,
                port,
                path=path,
                up=partial(_print, out, note="Ctrl-C ends it all."),
                say=partial(out.note, style=None),
            )
    except machine.AlreadyUpError as error:
        _print(out, error.addresses, error.message)


def _print(out: Out, addresses: Any, note: str) -> None:
    facts = {} if addresses is None else addresses.as_dict()
    out.document({"address": facts.get("gateway"), **facts, "message": note})
    for name in ("gateway", "monitor", "prefect"):
        out.say(f"{name.capitalize():8} {facts.get(name, '?')}")
    if "gateway" in facts:
        out.say(f"         its pages ask for a key; {facts['gateway']}/admin/prefect has it")
    out.note(note, style=None)


def _end_with_parent() -> bool:
    """When `cornerman serve` started this process, end when it ends; returns whether it did."""
    if importlib.util.find_spec(_PARENT) is None:
        return False
    parent: Any = importlib.import_module(_PARENT)
    return bool(parent.end_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM)))


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
