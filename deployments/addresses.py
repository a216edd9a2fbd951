"""Which addresses a `cornerman serve` has, and whether one is up already."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path

from cornerman.domain.errors import CornermanError

_PREFECT_PORT = 4200


@dataclass(frozen=True)
class Addresses:
    """Where a running `cornerman serve` answers, and its process id."""

    gateway: str
    monitor: str
    prefect: str
    pid: int

    def as_dict(self) -> dict[str, object]:
        """JSON form, with the fields' names."""
        return asdict(self)


class AlreadyUpError(CornermanError):
    """Another `cornerman serve` works on the same CORNERMAN_HOME."""

    code = "already_up"

    def __init__(self, addresses: Addresses | None) -> None:
        pid = "?" if addresses is None else addresses.pid
        super().__init__(f"cornerman serve is already up (process {pid}).", hint="End it first.")
        self.addresses = addresses


@contextlib.contextmanager
def only_one(home: Path) -> Generator[Path]:
    """Hold the lock of this CORNERMAN_HOME; yields the file to write the addresses to.

    The lock ends with the process, however it ends, so no old file is ever in the way.

    Raises:
        AlreadyUpError: A living process holds it.
    """
    home.mkdir(parents=True, exist_ok=True)
    path = home / "serve.json"
    descriptor = os.open(home / "serve.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyUpError(_read(path)) from None
        path.unlink(missing_ok=True)
        yield path
        path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _read(path: Path) -> Addresses | None:
    try:
        return Addresses(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def choose_prefect_port(wanted: str | None) -> int:
    """PREFECT_SERVER_API_PORT, else 4200 when it is free, else any free one."""
    if wanted is not None and wanted.isdecimal():
        return int(wanted)
    for port in (_PREFECT_PORT, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise CornermanError("There is no free port on 127.0.0.1.")
