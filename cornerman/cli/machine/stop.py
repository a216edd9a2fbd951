"""`cornerman stop`: end the embedded Prefect server that commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cornerman.cli.output import Out
from cornerman.cli.store import JsonOption

if TYPE_CHECKING:
    from cornerman.flows.plumbing.home_server import ServerRecord


def stop(json: JsonOption = False) -> None:
    """End the embedded Prefect server now; a run that uses it starts it again and goes on."""
    from cornerman.flows.plumbing.home_server import ServerHome
    from cornerman.settings import get_settings

    out = Out(json)
    ended, used = ServerHome(get_settings().home).stop()
    out.document({"ended": [_facts(r) for r in ended], "in_use": [_facts(r) for r in used]})
    for record in ended:
        out.say(f"Ended the embedded Prefect server (pid {record.pid}, port {record.port}).")
    for record in used:
        out.say(
            f"A command used it (port {record.port}): it starts the server again, loses nothing, "
            "and the server ends with it."
        )
    if not ended and not used:
        out.say("No embedded Prefect server runs.")


def _facts(record: ServerRecord) -> dict[str, Any]:
    return {"pid": record.pid, "port": record.port, "version": record.version}
