"""What of Prefect's is private and used here, and what breaks where a later version moves it.

Everything else that we use of Prefect is its documented interface. Each part is looked up through
`part`, so that one that is missing ends a start with a sentence rather than a run with a riddle.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Any

import prefect

from cornerman.domain.errors import CornermanError

OLDEST, FIRST_TOO_NEW = (3, 8, 8), (4, 0, 0)
# Where and how Prefect's client logs what it could not deliver; with other names its objects are
# dumped on the terminal when the server dies, and nothing else breaks.
SERVICES_LOGGER = "prefect._internal.concurrency"
SERVICE_FAILED = "Service %r failed to process item"


class PrefectMovedError(CornermanError):
    """The installed Prefect lacks a part that Cornerman needs."""

    code = "prefect_version"


@dataclass(frozen=True)
class Part:
    """One private part.

    Args:
        where: `module:name`, the name dotted.
        breaks: What does not work without it.
        in_server: Only the process of a Prefect server needs it, and may import it.
    """

    where: str
    breaks: str
    in_server: bool = False


PARTS = {
    "drain_events": Part(
        "prefect.events.worker:EventsWorker.drain_all",
        "the last events of a run are lost when its server ends",
    ),
    "serialize_context": Part(
        "prefect.context:serialize_context", "cases cannot run on a Dask cluster"
    ),
    "hydrated_context": Part(
        "prefect.context:hydrated_context", "cases cannot run on a Dask cluster"
    ),
    "create_app": Part(
        "prefect.server.api.server:create_app",
        "neither the embedded server nor the one of `cornerman serve` can start",
        in_server=True,
    ),
    "setup_sqlite": Part(
        "prefect.server.database.configurations:AioSqliteConfiguration.setup_sqlite",
        "Prefect's server on SQLite waits a minute for a lock, and runs wait with it",
        in_server=True,
    ),
}


def part(name: str) -> Any:
    """The named part of the installed Prefect.

    Raises:
        PrefectMovedError: It is not where it was.
    """
    wanted = PARTS[name]
    module, _, path = wanted.where.partition(":")
    try:
        found: Any = import_module(module)
        for step in path.split("."):
            found = getattr(found, step)
    except (ImportError, AttributeError) as error:
        raise _moved(f"lacks {wanted.where} ({error}), so {wanted.breaks}") from error
    return found


def require_parts() -> None:
    """Refuse to start on a Prefect that lacks what a run needs; the server looks for itself.

    Raises:
        PrefectMovedError: Naming the part and the version to install.
    """
    if not OLDEST <= _numbers(prefect.__version__) < FIRST_TOO_NEW:
        raise _moved("is outside the range that Cornerman works with")
    for name, wanted in PARTS.items():
        if not wanted.in_server:
            part(name)


def http_client_of(client: Any) -> Any:
    """The plain HTTP client in one of Prefect's, with the server's address and our access to it.

    Raises:
        PrefectMovedError: There is none.
    """
    found = getattr(client, "_client", None)
    if found is None:
        raise _moved("keeps no HTTP client in its own, so the server's database cannot be told")
    return found


def require_schedules() -> None:
    """Refuse to serve where the scheduler would silently insert no run.

    Raises:
        PrefectMovedError: Prefect before 3.9 together with SQLAlchemy 2.1 or later.
    """
    database = version("sqlalchemy")
    if _numbers(prefect.__version__) < (3, 9) and _numbers(database) >= (2, 1):
        raise PrefectMovedError(
            f"The scheduler of Prefect {prefect.__version__} starts nothing with SQLAlchemy "
            f"{database}.",
            hint="Install Prefect 3.9 or later, or SQLAlchemy below 2.1: "
            "pip install 'prefect>=3.9,<4'",
        )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in text.split("+")[0].split(".")[:3] if n.isdigit())


def _moved(what: str) -> PrefectMovedError:
    return PrefectMovedError(
        f"Prefect {prefect.__version__} {what}.",
        hint="Install one that works: pip install 'prefect>=3.8.8,<4', or the version of "
        "requirements/base.txt.",
    )


def shorten_lock_waits(milliseconds: int) -> None:
    """Have the connections of Prefect's server in this process give up waiting for a lock soon."""
    plain = part("setup_sqlite")
    if hasattr(plain, "is_short"):
        return

    def setup_sqlite(self: Any, conn: Any, record: Any) -> None:
        plain(self, conn, record)
        cursor = conn.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {milliseconds}")
        cursor.close()

    setup_sqlite.is_short = True  # type: ignore[attr-defined]
    module = import_module("prefect.server.database.configurations")
    module.AioSqliteConfiguration.setup_sqlite = setup_sqlite
