"""`cornerman serve`: gateway, Prefect server, deployments and worker of one machine.

One supervisor, which imports little, so that the gateway answers soon; the rest comes up behind
it. With PREFECT_API_URL set no server is started, and the worker works for that one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from cornerman.deployments.addresses import (
    Addresses,
    AlreadyUpError,
    choose_prefect_port,
    only_one,
)
from cornerman.deployments.supervise import Child, Supervisor
from cornerman.flows.plumbing.patient import IN_BATCHES
from cornerman.flows.plumbing.signals import end_at_second
from cornerman.settings import CLIENT_KEY, SERVER_KEY, Settings, child_environment, keep_key
from cornerman.storage.database.connect import prefect_database

__all__ = ["Addresses", "AlreadyUpError", "Machine", "only_one", "serve"]

_GATEWAY_SECONDS = 60.0
_DEPLOY_PAUSE_SECONDS = 2.0
# Prefect clears its events alone, after a week; its runs, tasks and logs would grow for ever. What
# a run came to is in Cornerman's own database. Variables of the same names change it.
RETENTION = {
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": "P30D",
}


class Machine:
    """The processes of one machine."""

    def __init__(
        self, settings: Settings, host: str, port: int, say: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._host, self._port = host, port
        self._say = say
        self._environment = child_environment()
        self._supervisor = Supervisor(say)
        self._own_server = settings.prefect_api_url is None
        self._prefect_port = choose_prefect_port(os.environ.get("PREFECT_SERVER_API_PORT"))
        self._api_url = settings.prefect_api_url or f"http://127.0.0.1:{self._prefect_port}/api"

    @property
    def addresses(self) -> Addresses:
        """Where it answers."""
        shown = "127.0.0.1" if self._host in ("0.0.0.0", "::") else self._host  # noqa: S104
        gateway = f"http://{shown}:{self._port}"
        return Addresses(
            gateway=gateway,
            monitor=f"{gateway}/admin/training-monitor",
            prefect=self._api_url.removesuffix("/api"),
            pid=os.getpid(),
        )

    async def run(self, stop: asyncio.Event, up: Callable[[], None]) -> None:
        """Run everything until `stop` is set; `up` is called once the gateway answers."""
        starting = asyncio.create_task(self._start(up), name="start")
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
            await stopped
        finally:
            starting.cancel()
            stopped.cancel()
            await self._supervisor.stop()
            await asyncio.gather(starting, stopped, return_exceptions=True)

    async def _start(self, up: Callable[[], None]) -> None:
        gateway = ["--host", self._host, "--port", str(self._port), "--gateway-only"]
        command = [sys.executable, "-m", "cornerman.cli", "serve", *gateway]
        self._supervisor.keep(Child("gateway", command, self._environment))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GATEWAY_SECONDS):
                await _until_answers(f"{self.addresses.gateway}/healthz")
        up()
        if self._own_server:
            environment = await asyncio.to_thread(self._prefect_environment)
            port = str(self._prefect_port)
            self._keep_python(
                "prefect", "cornerman.deployments.prefect_server", [port], environment
            )
        await _until_answers(f"{self._api_url}/health")
        await self._deploy()
        self._keep_python("worker", "cornerman.deployments.worker", [], self._worker_environment())
        self._say(f"Prefect is up, with its deployments and a worker: {self.addresses.prefect}")

    def _prefect_environment(self) -> dict[str, str]:
        environment = (
            RETENTION
            | IN_BATCHES
            | self._environment
            | {
                "PREFECT_HOME": str(self._settings.home / "prefect"),
                "PREFECT_API_URL": self._api_url,
                SERVER_KEY: self._key(),
            }
        )
        if "PREFECT_API_DATABASE_CONNECTION_URL" not in environment:
            environment["PREFECT_API_DATABASE_CONNECTION_URL"] = self._prefect_database()
        return environment

    def _key(self) -> str:
        """What our own server asks for: the user's, else one that is made for this home."""
        given = self._environment.get(SERVER_KEY) or self._environment.get(CLIENT_KEY)
        return keep_key(self._settings.home, given)

    def _client_environment(self) -> dict[str, str]:
        """For what speaks to the server."""
        key = {CLIENT_KEY: self._key()} if self._own_server else {}
        return self._environment | {"PREFECT_API_URL": self._api_url} | key

    def _prefect_database(self) -> str:
        own = self._settings.database_url().url.get_secret_value()
        if own.startswith("postgresql"):
            beside = prefect_database(own)
            if beside is not None:
                return beside
            self._say("The database's user may not create one for Prefect; SQLite is used for it.")
        folder = self._settings.home / "prefect"
        database = folder / "server.db"
        empty = folder / f"empty-{version('prefect')}.db"
        if not database.exists() and empty.exists():
            shutil.copyfile(empty, database)  # migrating takes seconds, copying does not
        return f"sqlite+aiosqlite:///{database}"

    def _worker_environment(self) -> dict[str, str]:
        address = {"NEXT_PUBLIC_APP_URL": self.addresses.gateway}
        return address | self._client_environment()

    def _keep_python(
        self, name: str, module: str, arguments: list[str], environment: dict[str, str]
    ) -> None:
        command = [sys.executable, "-m", module, *arguments]
        log = self._settings.home / "logs" / f"serve-{name}.log"
        self._supervisor.keep(Child(name, command, environment, log))

    async def _deploy(self) -> None:
        """Register the deployments; a server that cannot take them yet is asked again."""
        environment = await asyncio.to_thread(self._client_environment)
        told = False
        while True:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "cornerman.cli",
                "deploy",
                "--json",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
            try:
                output, _ = await process.communicate()
            except asyncio.CancelledError:
                process.kill()
                raise
            if process.returncode == 0:
                return
            if not told:
                self._say(f"Deploying is tried again: {output.decode(errors='replace').strip()}")
                told = True
            await asyncio.sleep(_DEPLOY_PAUSE_SECONDS)


async def _until_answers(url: str) -> None:
    while not await asyncio.to_thread(_answers, url):  # noqa: ASYNC110 - nobody calls us back
        await asyncio.sleep(0.2)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own address
            return True
    except urllib.error.HTTPError:
        return True
    except (urllib.error.URLError, OSError):
        return False


def serve(
    settings: Settings,
    host: str,
    port: int,
    *,
    path: Path,
    up: Callable[[Addresses], None],
    say: Callable[[str], None],
) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        path: Where to write the addresses, from `only_one`.
        up: Called with the addresses once the gateway answers.
        say: Told what a person should know meanwhile.
    """
    machine = Machine(settings, host, port, say)
    _write(path, machine.addresses)
    asyncio.run(_until_told(machine, lambda: up(machine.addresses)))


async def _until_told(machine: Machine, up: Callable[[], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
        end_at_second(number)
    await machine.run(stop, up)


def _write(path: Path, addresses: Addresses) -> None:
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(addresses.as_dict()), encoding="utf-8")
    partial.replace(path)
