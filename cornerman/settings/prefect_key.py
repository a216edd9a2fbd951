"""The key of the Prefect server that `cornerman serve` starts.

Without one any program and any web page that reaches loopback could start runs. It lies in the
home, readable by its owner alone; the server and its own worker get it in their environment, a
browser by way of the gateway's `/admin/prefect`, and it is printed nowhere.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path

from cornerman.domain.secrets import register_secrets

# What Prefect itself reads: the one is asked for, the other is given.
SERVER_KEY, CLIENT_KEY = "PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"
KEY_HINT = f"Set {CLIENT_KEY}. `cornerman serve` keeps its own in CORNERMAN_HOME, in prefect/key."
# Where that server takes the key from a browser, behind `#`, which no browser sends anywhere.
SIGN_IN = "/cornerman/sign-in"


@dataclass(frozen=True)
class ServedPrefect:
    """The Prefect server of a running `cornerman serve`: its address, without /api, and its key."""

    address: str
    key: str

    @property
    def door(self) -> str:
        """Where a browser is sent to be signed in."""
        return f"{self.address}{SIGN_IN}#{_word(self.key)}"


def keep_key(home: Path, given: str | None = None) -> str:
    """The key of this home's server: the one kept, else one that is made now.

    Args:
        given: The user's own, which takes its place. The home is locked by whoever serves it.
    """
    path = home / "prefect" / "key"
    key = given or _read(path) or f"cornerman:{secrets.token_urlsafe(32)}"
    _hide(key)
    if key == _read(path):
        return key
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(key)
    partial.replace(path)
    return key


def _hide(key: str) -> None:
    """From every text, also in the form in which it goes over the wire."""
    register_secrets(key, _word(key))


def _word(key: str) -> str:
    return base64.b64encode(key.encode()).decode()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def served_prefect(home: Path) -> ServedPrefect | None:
    """The server that `cornerman serve` of this home runs now, by what it left there."""
    try:
        stated = json.loads((home / "serve.json").read_text(encoding="utf-8"))
        key = _read(home / "prefect" / "key")
        address = str(stated["prefect"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    _hide(key)
    return ServedPrefect(address, key)


def adopt_key(home: Path, api_url: str, environment: MutableMapping[str, str]) -> None:
    """Have Prefect's client give this home's key, where it speaks to this home's server.

    Args:
        environment: Changed; a key that stands in it already is left alone.
    """
    if environment.get(CLIENT_KEY):
        return
    served = served_prefect(home)
    if served is not None and f"{served.address}/api" == api_url.rstrip("/"):
        environment[CLIENT_KEY] = served.key
