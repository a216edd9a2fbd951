"""What processes of one machine tell each other by the environment."""

from __future__ import annotations

import os
from pathlib import Path

from cornerman.settings.load import read_environment

WORKER_LOCK = "CORNERMAN_WORKER_LOCK"


def worker_lock() -> Path | None:
    """The file that the worker which started this process locks while it lives."""
    path = os.environ.get(WORKER_LOCK)
    return Path(path) if path else None


def child_environment() -> dict[str, str]:
    """The environment for a child that works in another folder: with what `.env` says here."""
    return read_environment().values | dict(os.environ)
