"""Which database errors pass by themselves, and how one is told without its secrets."""

from __future__ import annotations

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from cornerman.domain.errors import StorageError

# SQLSTATE classes: lost connections, deadlocks, too few resources, a server that stops or starts.
_PASSING_STATES = ("08", "40", "53", "57P", "55P03")
_PASSING_SQLITE = ("SQLITE_BUSY", "SQLITE_LOCKED")


def is_passing(error: DBAPIError) -> bool:
    """Whether the same transaction may go well a moment later."""
    if error.connection_invalidated:
        return True
    cause = error.orig
    if name := getattr(cause, "sqlite_errorname", None):
        return str(name).startswith(_PASSING_SQLITE)
    if state := getattr(cause, "sqlstate", None):
        return str(state).startswith(_PASSING_STATES)
    # psycopg has no state to give for a server that does not answer.
    return isinstance(error, OperationalError) and hasattr(cause, "sqlstate")


def unusable(engine: Engine, error: Exception, *, what: str = "cannot be reached") -> StorageError:
    """An error that names the database without its password.

    Args:
        what: What went wrong with it, as the sentence's predicate.
    """
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    # A password may stand among the options too.
    address = engine.url.set(query={}).render_as_string(hide_password=True)
    return StorageError(
        f"The database {address} {what}: {lines[0] if lines else type(error).__name__}",
        hint="Check its address and that it runs: cornerman doctor",
    )
