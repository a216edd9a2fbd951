"""How an agent in this process comes to the meter with nothing in it changed.

Its environment names the meter's address and key before its module is imported; a context variable
says whose call each one is, and a header carries that on. The header is added where every client
built on httpx or httpx2 sends: openai's, anthropic's, litellm's. A client that was made before, or
for the provider's own address, is led to the meter as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import subprocess
import sys
from collections.abc import Generator, Iterable
from contextvars import ContextVar
from functools import cache, wraps
from typing import Any, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from cornerman.meter.accounts import CaseKey
from cornerman.meter.server import CASE_HEADER, MeterServer, meter_server

OPENAI_KEYS = ("OPENAI_API_KEY", "SANDBOX_OPENAI_API_KEY")
OPENAI_URLS = ("OPENAI_BASE_URL", "OPENAI_API_BASE")
ANTHROPIC_URLS = ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE")
PUBLIC_ORIGINS = ("https://api.openai.com", "https://api.anthropic.com")
# What a model's API is called by, at whatever address.
_API_PATHS = ("/chat/completions", "/responses", "/embeddings", "/v1/messages")

_key: ContextVar[CaseKey | None] = ContextVar("cornerman_case_key", default=None)
_upstreams: set[str] = set(PUBLIC_ORIGINS)


@contextlib.contextmanager
def calling_for(key: CaseKey) -> Generator[None]:
    """Attribute the calls made inside to the key's case."""
    token = _key.set(key)
    try:
        yield
    finally:
        _key.reset(token)


@contextlib.contextmanager
def metered_environment(upstreams: Iterable[str | None]) -> Generator[MeterServer]:
    """Have agents that are imported and called inside reach the meter by the environment.

    The real keys are out of the environment for that time, of child processes too. It is put back
    when the last run of the process leaves.

    Args:
        upstreams: Addresses whose calls are to be metered besides the providers' own.
    """
    server = meter_server()
    _upstreams.update(_origin(url) for url in upstreams if url)
    _lead_clients_here()
    _enter(server)
    try:
        yield server
    finally:
        _leave()


_before: dict[str, str | None] = {}
_inside = 0


def _enter(server: MeterServer) -> None:
    global _inside
    _inside += 1
    if _inside > 1:
        return
    anthropic = dict.fromkeys(ANTHROPIC_URLS, server.anthropic_url)
    values = dict.fromkeys(OPENAI_URLS, server.openai_url) | anthropic
    # Set, not taken away: an agent that reads a `.env` file itself would bring them back.
    values |= dict.fromkeys((*OPENAI_KEYS, "ANTHROPIC_API_KEY"), server.process_key)
    for name, value in values.items():
        _before[name] = os.environ.get(name)
        os.environ[name] = value
    # The Agents SDK sends its traces to OpenAI with the environment's key, which is none there.
    _before["OPENAI_AGENTS_DISABLE_TRACING"] = os.environ.get("OPENAI_AGENTS_DISABLE_TRACING")
    os.environ.setdefault("OPENAI_AGENTS_DISABLE_TRACING", "1")
    # A proxy for the outside would not find this machine's own addresses.
    for name in ("NO_PROXY", "no_proxy"):
        _before[name] = os.environ.get(name)
        os.environ[name] = ",".join(filter(None, (_before[name], "127.0.0.1")))
    _before["ANTHROPIC_AUTH_TOKEN"] = os.environ.pop("ANTHROPIC_AUTH_TOKEN", None)


def _leave() -> None:
    global _inside
    _inside -= 1
    if _inside:
        return
    for name, value in _before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    _before.clear()


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _lead(request: Any) -> bool:
    """Put the case's key on a request to the meter; bring one here that would go past it.

    Returns:
        Whether it goes to the meter.
    """
    key = _key.get()
    if key is None:
        return False
    url = request.url
    port = f":{url.port}" if url.port is not None else ""
    origin = f"{url.scheme}://{url.host}{port}"
    server = meter_server()
    if origin != server.origin:
        if not url.path.endswith(_API_PATHS):
            return False
        if origin not in _upstreams:
            key.account.hosts_elsewhere.add(url.host)
            return False
        path = url.raw_path.decode("ascii", "replace")
        at = path.find("/v1/")
        request.url = type(url)(server.origin + (path[at:] if at >= 0 else f"/v1{path}"))
        request.headers["host"] = urlsplit(server.origin).netloc
        # The real key has no business at the meter, which has its own.
        for name in ("authorization", "x-api-key", "api-key"):
            request.headers.pop(name, None)
    request.headers[CASE_HEADER] = key.token
    return True


@cache
def _lead_clients_here() -> None:
    """Wrap the methods by which httpx and httpx2 send; once a process."""
    for name in ("httpx2", "httpx"):
        try:
            module: Any = importlib.import_module(name)
        except ImportError:
            continue
        _wrap_send(module.Client, None)
        _wrap_send(module.AsyncClient, _loop_transport(module))
    _wrap_popen()


def _loop_transport(module: Any) -> Any:
    """A transport to the meter with connections of its own for each event loop.

    An agent's module has one client, and its cases may run in one loop after another, or in several
    at once: a connection that another loop has opened cannot be used.
    """
    held: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    class LoopTransport(module.AsyncBaseTransport):
        async def handle_async_request(self, request: Any) -> Any:
            loop = asyncio.get_running_loop()
            if loop not in held:
                limits = module.Limits(max_connections=None, max_keepalive_connections=64)
                held[loop] = module.AsyncHTTPTransport(limits=limits, trust_env=False)
            return await held[loop].handle_async_request(request)

    return LoopTransport()


def _mount(client: Any, transport: Any) -> None:
    """Have a client reach the meter by this transport, and everything else as before."""
    mounts = getattr(client, "_mounts", None)
    if not isinstance(mounts, dict) or getattr(client, "reaches_meter", False):
        return
    pattern: Any = sys.modules[type(transport).__mro__[1].__module__.partition(".")[0]]
    there = pattern._utils.URLPattern(f"all://{urlsplit(meter_server().origin).netloc}")
    client._mounts = {there: transport, **cast("dict[Any, Any]", mounts)}
    client.reaches_meter = True


def _wrap_send(kind: Any, transport: Any) -> None:
    plain = kind.send

    @wraps(plain)
    def send(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        is_ours = getattr(self, "is_booked", False)
        if not is_ours and _lead(request) and transport is not None:
            _mount(self, transport)
        return plain(self, request, *args, **kwargs)

    kind.send = send


def _wrap_popen() -> None:
    """Give a child process that an agent starts its case's key in place of the process's."""
    plain: Any = subprocess.Popen.__init__

    @wraps(plain)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        key = _key.get()
        if key is not None and len(args) < 11:
            given = kwargs.get("env")
            environment = dict(os.environ if given is None else given)
            process_key = meter_server().process_key
            for name, value in environment.items():
                if value == process_key:
                    environment[name] = key.token
            kwargs["env"] = environment
        plain(self, *args, **kwargs)

    subprocess.Popen.__init__ = init  # type: ignore[method-assign]
