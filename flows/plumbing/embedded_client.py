"""This process's hold on an embedded Prefect server: begun early, watched, started again.

Nothing of Prefect is imported here, so that a command can begin the server first and import the
rest while that starts.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from cornerman.domain.errors import CornermanError
from cornerman.flows.plumbing.home_server import (
    START_SECONDS,
    ServerFolder,
    ServerHome,
    ServerRecord,
    answers,
    end_process,
    is_same,
    prepared,
    spawn,
)
from cornerman.settings import Settings, get_settings
from cornerman.settings.model import NAMES

# Prefect's own word on its server wins; where there is one, nothing is embedded.
_API_URL = "PREFECT_API_URL"
_LOOK_SECONDS = 1.0
_LOOKS_A_PROBE = 2
# Both probes failed, each after 2.5 s: told and mended within ten.
_MISSES = 2
_AGAIN_SECONDS = 30.0

# A server of commands schedules nothing, phones nobody and serves no pages.
_SERVER_ENV = {
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
    # Nobody can read its feed of events; task runs and their states are kept by another service.
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
}
# What a run came to is in the product's own database; a server that is always used forgets.
_RETENTION = {
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": "P2D",
}


@dataclass(frozen=True)
class Trouble:
    """Something that a person should know of the server; `back` once it is over."""

    message: str
    back: bool = False


# All of this process, in order; runs write them among their events.
troubles: list[Trouble] = []


def tell(message: str, *, back: bool = False) -> None:
    """Say on stderr, and among the events of this process's runs, that Prefect is away or back."""
    troubles.append(Trouble(message, back))
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()


def template_path(home: Path) -> Path:
    """A migrated, empty database of this Prefect; migrating takes seconds, copying does not."""
    return home / "prefect" / f"empty-{version('prefect')}.db"


def _environment(folder: Path, template: Path) -> dict[str, str]:
    """What a server is started with: nothing that is one command's, no key among it."""
    from cornerman.flows.plumbing.patient import IN_BATCHES

    plain = {name: value for name, value in os.environ.items() if name not in NAMES}
    return (
        plain
        | IN_BATCHES
        | _RETENTION
        | _SERVER_ENV
        | {
            "CORNERMAN_PREFECT_TEMPLATE": str(template),
            "PREFECT_HOME": str(folder),
            "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / 'prefect.db'}",
        }
    )


class EmbeddedServer:
    """The server as this process uses it.

    Args:
        settings: PREFECT_IDLE_SECONDS decides whether it is shared.
    """

    def __init__(self, settings: Settings) -> None:
        self.is_shared = settings.prefect_idle_seconds > 0
        self._idle_seconds = settings.prefect_idle_seconds
        self._home = ServerHome(settings.home)
        self._template = template_path(settings.home)
        self._held: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()
        self._begun = time.monotonic()
        self.folder = self._begin()
        self._watcher = threading.Thread(target=self._watch, name="prefect-watch", daemon=True)

    def _begin(self) -> ServerFolder:
        try:
            if self.is_shared:
                folder, self._held = self._home.join(
                    self._idle_seconds, self._template, self._environment
                )
                return folder
            folder = prepared(Path(tempfile.mkdtemp(prefix="cornerman-prefect-")), self._template)
            self._child = spawn(folder, self._environment(folder), alone=True)
            return folder
        except OSError as error:
            raise _not_started(str(error)) from error

    def _environment(self, folder: ServerFolder) -> dict[str, str]:
        return _environment(folder.path, self._template)

    def until_ready(self) -> ServerRecord:
        """Wait until the server answers; blocks.

        Raises:
            CornermanError: It ended, or took too long.
        """
        give_up = time.monotonic() + START_SECONDS
        while True:
            record = self.folder.read()
            if record.ready and record.lives:
                break
            if record.pid and not record.lives:
                raise _not_started(self.folder.log)
            if time.monotonic() > give_up:
                raise _not_started(f"no answer after {START_SECONDS:g} s; {self.folder.log}")
            time.sleep(0.02)
        if not self._watcher.is_alive():
            self._watcher.start()
        return record

    def end(self) -> None:
        """Let go of a shared server; end one that serves this process alone. Blocks."""
        if self in _held:
            _held.remove(self)
        self._ended.set()
        if self._watcher.is_alive():
            self._watcher.join(timeout=_LOOK_SECONDS)
        if self._held is not None:
            os.close(self._held)
            self._held = None
        if self._child is not None:
            assert self._child.stdin is not None
            self._child.stdin.close()
            try:
                self._child.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
            self.folder.remove()

    # -- whoever dies

    def _watch(self) -> None:
        """Look after the server until `end`: one that died or hangs is started again."""
        looks = misses = 0
        away: ServerRecord | None = None
        since = time.monotonic()
        while not self._ended.wait(_LOOK_SECONDS):
            record = self.folder.read()
            if away is not None and record.ready and record.lives and not is_same(record, away):
                tell("The embedded Prefect server answers again; the run goes on.", back=True)
                away, misses = None, 0
            if not record.pid:
                continue  # somebody is starting it
            looks += 1
            if record.lives and record.ready:
                if looks % _LOOKS_A_PROBE and not misses:
                    continue
                misses = 0 if answers(record) else misses + 1
                if misses < _MISSES:
                    continue
            elif record.lives and time.monotonic() - since < START_SECONDS:
                continue
            if away is None or not is_same(record, away):
                what = "does not answer" if record.lives else "has ended"
                tell(f"The embedded Prefect server {what}; it is started again.")
            elif time.monotonic() - since < _AGAIN_SECONDS:
                continue
            away, since, misses = record, time.monotonic(), 0
            self._start_again(record)

    def _start_again(self, record: ServerRecord) -> None:
        try:
            if self.is_shared:
                self._home.revive(self.folder, record, self._environment)
            else:
                end_process(record, gently=False)
                self._child = spawn(self.folder, self._environment(self.folder), alone=True)
        except OSError as error:
            tell(
                f"The embedded Prefect server cannot be started again: {error}. End this command "
                "(Ctrl-C), then type: cornerman train --resume RUN_ID (cornerman runs list)"
            )


def _not_started(why: str) -> CornermanError:
    return CornermanError(
        f"The embedded Prefect server did not start: {why or 'no answer'}",
        hint="Start one yourself (prefect server start) and set PREFECT_API_URL.",
    )


class _Begun:
    """A server that is being started behind the caller's back."""

    def __init__(self) -> None:
        self._server: EmbeddedServer | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(get_settings(),), daemon=True)
        self._thread.start()

    def _run(self, settings: Settings) -> None:
        try:
            self._server = EmbeddedServer(settings)
        except BaseException as error:  # noqa: BLE001 - raised to whoever takes the server
            self._error = error

    def take(self) -> EmbeddedServer:
        """The server; blocks until it has a port."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._server is not None
        return self._server


_begun: list[_Begun] = []
_held: list[EmbeddedServer] = []


def begin_early() -> None:
    """Begin the server that flows of this process will need, in a thread, and return at once."""
    if get_settings().prefect_api_url is not None or os.environ.get(_API_URL):
        return
    if not _begun and not _held:
        _begun.append(_Begun())


def take_begun() -> EmbeddedServer:
    """The server that was begun early, or else one that is begun now. Blocks.

    Raises:
        CornermanError: It did not start.
    """
    server = (_begun.pop() if _begun else _Begun()).take()
    _held.append(server)
    return server
