"""The embedded Prefect server that all commands of one CORNERMAN_HOME share: its files, its life.

Each server has a folder below `CORNERMAN_HOME/prefect/embedded` with what is known of it
(`server.json`: pid, port, version, token), its database and its log. Who uses it holds a shared
lock on `users`, which the system lets go of however a process ends; a server that nobody holds
ends after the idle time. Every decision (start, join, start again, end) is taken under the one
lock of the folder above, so that two commands share one server, and none is joined as it ends.

Standard library only: it is read before anything heavy is imported.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

from cornerman.flows.plumbing.processes import is_process

START_SECONDS = 60.0
_SPAWN_SECONDS = 10.0
_PROBE_SECONDS = 2.5
_END_SECONDS = 3.0
_MOMENT_SECONDS = 0.005

Environment = Callable[["ServerFolder"], Mapping[str, str]]


@dataclass(frozen=True)
class ServerRecord:
    """What a server's folder says of it.

    Args:
        pid: 0 until its process has begun.
        start: Of its process, as `processes.started_at` tells it.
        port: 0 until it has one; kept when it is started again, since clients know it.
        version: Of Cornerman and Prefect.
        token: What a client has to show; `""`: none is asked for.
        ready: Whether it answers; before that it imports.
    """

    pid: int = 0
    start: str = ""
    port: int = 0
    version: str = ""
    token: str = ""
    ready: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def lives(self) -> bool:
        """Whether its process does."""
        return self.pid != 0 and is_process(self.pid, self.start)


class ServerFolder:
    """One server's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> ServerRecord:
        """What is known; an empty record when nothing is."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            return ServerRecord(**json.loads((self.path / "server.json").read_text()))
        return ServerRecord()

    def write(self, record: ServerRecord) -> None:
        """Keep what is known, whole or not at all, for its owner's eyes."""
        self._put("server.json", json.dumps(asdict(record)))

    def idle_seconds(self) -> float:
        """How long it stays without users."""
        with contextlib.suppress(OSError, ValueError):
            return float((self.path / "idle").read_text())
        return 0.0

    def stay(self, idle_seconds: float) -> None:
        """Have it stay so long without users; 0: end with the last of them."""
        self._put("idle", str(idle_seconds))

    def _put(self, name: str, text: str) -> None:
        partial = self.path / f"{name}.{os.getpid()}.part"
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        partial.replace(self.path / name)

    @property
    def log(self) -> str:
        """The end of what the server wrote."""
        with contextlib.suppress(OSError):
            return (self.path / "server.log").read_text(errors="replace")[-2_000:].strip()
        return ""

    def hold(self) -> int:
        """Count this process as a user until the descriptor is closed, or the process ends."""
        descriptor = os.open(self.path / "users", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        return descriptor

    @property
    def is_used(self) -> bool:
        """Whether a living process holds it."""
        # Whoever asks holds the lock for a moment, which the next one must not take for use.
        if not self._is_held():
            return False
        time.sleep(_MOMENT_SECONDS)
        return self._is_held()

    def _is_held(self) -> bool:
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(self.path / "users", os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            finally:
                os.close(descriptor)
        return False

    def remove(self) -> None:
        """Remove it, with its database."""
        shutil.rmtree(self.path, ignore_errors=True)


def is_same(one: ServerRecord, other: ServerRecord) -> bool:
    """Whether both are of one process."""
    return (one.pid, one.start) == (other.pid, other.start)


def current_version() -> str:
    """What a server must be to serve this process."""
    return f"{version('cornerman')} on Prefect {version('prefect')}"


def answers(record: ServerRecord) -> bool:
    """Whether the server answers, and to its token."""
    request = urllib.request.Request(f"{record.url}/admin/version")  # noqa: S310
    if record.token:
        shown = base64.b64encode(record.token.encode()).decode()
        request.add_header("Authorization", f"Basic {shown}")
    try:
        with urllib.request.urlopen(request, timeout=_PROBE_SECONDS) as answer:  # noqa: S310
            return answer.status == 200
    except (urllib.error.URLError, OSError, ValueError):
        return False


def end_process(record: ServerRecord, *, gently: bool = True) -> None:
    """End a server's process, by force if need be; its folder is the caller's to remove."""
    for number in (signal.SIGTERM, signal.SIGKILL) if gently else (signal.SIGKILL,):
        if not record.lives:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.pid, number)
        give_up = time.monotonic() + _END_SECONDS
        while record.lives and time.monotonic() < give_up:
            collect()
            time.sleep(0.02)


class ServerHome:
    """All servers of one CORNERMAN_HOME: at most one of each version, and one once all are idle.

    Args:
        home: CORNERMAN_HOME.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / "prefect" / "embedded"

    @classmethod
    def of(cls, folder: ServerFolder) -> ServerHome:
        """The one that a server's folder is in."""
        return cls(folder.path.parent.parent.parent)

    @contextlib.contextmanager
    def locked(self, *, wait: bool = True) -> Generator[bool]:
        """Take the lock of every decision; yields False when it is taken and `wait` is not set."""
        descriptor = self._lock(wait)
        try:
            yield descriptor is not None
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _lock(self, wait: bool) -> int | None:
        while True:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            except FileNotFoundError:
                continue  # removed in this moment
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                os.close(descriptor)
                return None
            # The last server that ends removes the file, and a lock on that one holds nobody off.
            with contextlib.suppress(FileNotFoundError):
                if os.fstat(descriptor).st_ino == (self.path / "lock").stat().st_ino:
                    return descriptor
            os.close(descriptor)

    def folders(self) -> list[ServerFolder]:
        """Every server's folder, whether the server lives or not."""
        return [ServerFolder(path.parent) for path in sorted(self.path.glob("*/server.json"))]

    def join(
        self, idle_seconds: float, template: Path, environment: Environment
    ) -> tuple[ServerFolder, int]:
        """Use this version's server, started if need be, whether it answers yet or not.

        Servers of other versions end once nobody uses them.

        Args:
            template: An empty, migrated database, which may be missing.
            environment: What a server in that folder is started with.

        Returns:
            Its folder, and the descriptor that holds it.
        """
        with self.locked():
            found: ServerFolder | None = None
            for folder in self.folders():
                if folder.read().version == current_version() and found is None:
                    found = folder
                else:
                    folder.stay(0)
                    _clear(folder)
            if found is None:
                found = self._new_folder(template)
            found.stay(idle_seconds)
            held = found.hold()
            try:
                if not found.read().lives:
                    spawn(found, environment(found))
            except BaseException:
                os.close(held)
                raise
            return found, held

    def _new_folder(self, template: Path) -> ServerFolder:
        path = self.path / secrets.token_hex(4)
        path.mkdir(mode=0o700)
        return prepared(path, template)

    def revive(self, folder: ServerFolder, known: ServerRecord, environment: Environment) -> bool:
        """Start a server again that died or hangs, at the same port, on the same database.

        Args:
            known: The server that was found dead or hung; another one in its place stays.

        Returns:
            Whether this call did; another user of it may have.
        """
        with self.locked():
            if not is_same(folder.read(), known):
                return False
            end_process(known, gently=False)
            spawn(folder, environment(folder))
            return True

    def stop(self) -> tuple[list[ServerRecord], list[ServerRecord]]:
        """End every server now.

        Who uses one starts it again and goes on, and that one ends with the last of its users.

        Returns:
            Those that were ended, and those of them that were used.
        """
        ended: list[ServerRecord] = []
        used: list[ServerRecord] = []
        if not self.path.exists():
            return ended, used
        with self.locked():
            for folder in self.folders():
                record = folder.read()
                folder.stay(0)
                if record.lives:
                    ended.append(record)
                    end_process(record)
                if folder.is_used:
                    used.append(record)
                else:
                    folder.remove()
            if not used:
                self.remove_empty()
        return ended, used

    def remove_empty(self) -> None:
        """Remove what is left once no server is; the lock must be held."""
        if not self.folders():
            shutil.rmtree(self.path, ignore_errors=True)

    def living(self) -> list[tuple[ServerFolder, ServerRecord]]:
        """Servers whose process lives."""
        found = [(folder, folder.read()) for folder in self.folders()]
        return [(folder, record) for folder, record in found if record.lives]


def prepared(path: Path, template: Path) -> ServerFolder:
    """An empty folder, made ready for a server of this version."""
    folder = ServerFolder(path)
    if template.exists():
        shutil.copyfile(template, path / "prefect.db")
    folder.write(ServerRecord(version=current_version(), token=secrets.token_urlsafe(24)))
    return folder


def _clear(folder: ServerFolder) -> None:
    """Remove what a dead server left, unless somebody of its version still needs it."""
    if not folder.read().lives and not folder.is_used:
        folder.remove()


# Kept so that servers that ended are collected; whose children they are says nothing.
_children: list[subprocess.Popen[bytes]] = []


def collect() -> None:
    """Let the system forget servers of this process that ended."""
    _children[:] = [child for child in _children if child.poll() is None]


def spawn(
    folder: ServerFolder, environment: Mapping[str, str], *, alone: bool = False
) -> subprocess.Popen[bytes]:
    """Start the folder's server; returns once it has a port, before it answers.

    Args:
        alone: It serves this process and ends with it, by the pipe that is its standard input.

    Raises:
        OSError: It ended at once; the message has its last words.
    """
    collect()
    folder.write(replace(folder.read(), pid=0, start="", ready=False))
    command = [sys.executable, "-m", "cornerman.flows.plumbing.embedded_server"]
    with (folder.path / "server.log").open("wb") as log:
        child = subprocess.Popen(
            [*command, "alone" if alone else "shared", str(folder.path)],
            stdin=subprocess.PIPE if alone else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            env=dict(environment),
            cwd=Path(__file__).parent.parent.parent,
            # Ctrl-C is its user's to answer, which needs the server to end in good order.
            start_new_session=True,
        )
    _children.append(child)
    give_up = time.monotonic() + _SPAWN_SECONDS
    while folder.read().pid != child.pid:
        if child.poll() is not None or time.monotonic() > give_up:
            child.kill()
            raise OSError(folder.log or "it ended without a word")
        time.sleep(0.01)
    return child


def listening(port: int) -> socket.socket:
    """A socket that listens on loopback; what connects before it is served waits in its queue."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    made.listen(512)
    return made
