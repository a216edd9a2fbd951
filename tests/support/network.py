"""Block the network beyond loopback for this process; children and C libraries are not covered."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

_LOCAL_NAMES = frozenset({"", "localhost", "0.0.0.0", "::", socket.gethostname()})


class NetworkBlockedError(RuntimeError):
    """A test reached beyond loopback. No OSError: clients would take that for an outage."""


def is_loopback(host: str) -> bool:
    """Tell whether a host's name or address stays on this machine."""
    if host in _LOCAL_NAMES:
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    return False


def _require_loopback(host: Any, what: str) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if name is not None and not is_loopback(name):
        raise NetworkBlockedError(f"a test tried to {what} {name!r}: only loopback is open")


def _is_address(host: Any) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _guard_method(patch: pytest.MonkeyPatch, name: str) -> None:
    original: Callable[..., Any] = getattr(socket.socket, name)

    def guarded(self: socket.socket, *arguments: Any) -> Any:
        # The address is the last argument of connect, connect_ex and sendto alike.
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _require_loopback(arguments[-1][0], "connect to")
        return original(self, *arguments)

    patch.setattr(socket.socket, name, guarded)


def _guard_lookup(patch: pytest.MonkeyPatch, name: str) -> None:
    original: Callable[..., Any] = getattr(socket, name)

    def guarded(host: Any, *arguments: Any, **options: Any) -> Any:
        # An address needs no server to be looked up; connecting to it is judged above.
        if not _is_address(host):
            _require_loopback(host, "look up")
        return original(host, *arguments, **options)

    patch.setattr(socket, name, guarded)


@contextlib.contextmanager
def only_loopback() -> Iterator[None]:
    """Raise NetworkBlockedError on every connection or lookup that leaves this machine."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto"):
            _guard_method(patch, name)
        for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
            _guard_lookup(patch, name)
        yield
