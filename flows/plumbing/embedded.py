"""Prefect without a server set up beforehand.

With no `PREFECT_API_URL`, Prefect would start a temporary server of its own, which outlives a
killed parent and runs services that one process does not need. This one is lighter, ends with
its parent, and is shared by all flows that a process runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import prefect
from prefect import Flow
from prefect.settings import PREFECT_API_URL, temporary_settings

from cornerman.domain.errors import CornermanError
from cornerman.flows.plumbing.patient import IN_BATCHES
from cornerman.flows.plumbing.prefect_private import part, require_parts
from cornerman.flows.plumbing.server_state import show_cancelled
from cornerman.settings import get_settings

P = ParamSpec("P")
R = TypeVar("R")

_START_SECONDS = 60.0
_DRAIN_SECONDS = 5.0

# A server for one process schedules nothing, phones nobody and serves no pages.
_SERVER_ENV = IN_BATCHES | {
    "PREFECT_UI_ENABLED": "0",
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_FOREMAN_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_REPOSSESSOR_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
}
_CLIENT_SETTINGS: dict[Any, Any] = {"logging.to_api.enabled": False}
_CLIENT_LOGGERS = ("prefect", "prefect.flow_runs", "prefect.task_runs", "prefect.engine")


class _Embedded:
    """The process's one embedded server and how many flows use it."""

    def __init__(self) -> None:
        self.users = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.folder: Path | None = None
        self.url = ""


_embedded = _Embedded()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _template() -> Path:
    """A migrated, empty database of this Prefect; migrating takes seconds, copying does not."""
    return get_settings().home / "prefect" / f"empty-{prefect.__version__}.db"


def _start() -> None:
    folder = Path(tempfile.mkdtemp(prefix="cornerman-prefect-"))
    database = folder / "prefect.db"
    if _template().exists():
        shutil.copyfile(_template(), database)
    port = _free_port()
    env = os.environ | _SERVER_ENV
    env["PREFECT_HOME"] = str(folder)
    env["PREFECT_API_DATABASE_CONNECTION_URL"] = f"sqlite+aiosqlite:///{database}"
    _embedded.folder = folder
    _embedded.process = subprocess.Popen(
        [sys.executable, "-m", "cornerman.flows.plumbing.embedded_server", str(port), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=(folder / "server.log").open("wb"),
        env=env,
        cwd=Path(__file__).parent.parent.parent,
        # Ctrl-C is the parent's to answer, which needs the server to end its runs in good order.
        start_new_session=True,
    )
    _embedded.url = f"http://127.0.0.1:{port}/api"


async def _until_healthy() -> None:
    process, folder = _embedded.process, _embedded.folder
    assert process is not None and folder is not None
    give_up = asyncio.get_running_loop().time() + _START_SECONDS
    while not await asyncio.to_thread(_healthy, _embedded.url):
        if process.poll() is not None or asyncio.get_running_loop().time() > give_up:
            log = (folder / "server.log").read_text(errors="replace")[-2_000:]
            raise CornermanError(
                f"The embedded Prefect server did not start: {log.strip() or 'no answer'}",
                hint="Start one yourself (prefect server start) and set PREFECT_API_URL.",
            )
        await asyncio.sleep(0.05)
    await asyncio.to_thread(_keep_template, folder / "prefect.db")


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:  # noqa: S310
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _keep_template(database: Path) -> None:
    """Keep the freshly migrated database for the next process, whole or not at all."""
    template = _template()
    if template.exists():
        return
    import sqlite3  # Prefect's own file, not Cornerman's storage

    template.parent.mkdir(parents=True, exist_ok=True)
    partial = template.with_suffix(f".{os.getpid()}")
    with (
        contextlib.closing(sqlite3.connect(database)) as source,
        contextlib.closing(sqlite3.connect(partial)) as target,
    ):
        source.backup(target)
    partial.replace(template)


def _stop() -> None:
    process, folder = _embedded.process, _embedded.folder
    _embedded.process = _embedded.folder = None
    if process is not None:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def prefect_ready() -> AsyncGenerator[None]:
    """Make sure that flows have a Prefect server: the configured one, or the embedded one.

    Raises:
        CornermanError: The embedded server did not start.
    """
    require_parts()
    if PREFECT_API_URL.value():
        yield
        return
    _embedded.users += 1
    try:
        if _embedded.process is None:
            _start()
            await _until_healthy()
        updates = {PREFECT_API_URL: _embedded.url} | _CLIENT_SETTINGS
        with temporary_settings(updates=updates), _quiet():
            try:
                yield
            finally:
                await drain_events()
    finally:
        _embedded.users -= 1
        if _embedded.users == 0:
            await asyncio.to_thread(_stop)


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Keep Prefect's line per task run off the console; the database has one per case."""
    loggers = [logging.getLogger(name) for name in _CLIENT_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


async def drain_events() -> None:
    """Let the last events reach the server before it goes."""
    drained = part("drain_events")()
    if asyncio.iscoroutine(drained) or isinstance(drained, asyncio.Future):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(cast(Any, drained), _DRAIN_SECONDS)


def serves_alone() -> bool:
    """Whether flows use this process's own server, whose address nobody else knows."""
    return _embedded.process is not None


class ServedFlow(Flow[P, R]):
    """A flow that can be awaited from plain Python with no server set up beforehand.

    When its run was cancelled, by whatever means, its flow run ends as Cancelled.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("on_completion") is None:
            kwargs["on_completion"] = [show_cancelled]
        super().__init__(*args, **kwargs)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:  # pyright: ignore
        call = cast("Callable[..., Coroutine[Any, Any, Any]]", super().__call__)

        async def run() -> Any:
            async with prefect_ready():
                return await call(*args, **kwargs)

        return run()
