"""`cornerman scout`: look for breakthroughs in battles that nobody has looked at yet."""

from __future__ import annotations

import asyncio
import uuid
from typing import Annotated, Any

import typer

from cornerman.cli.output import STOPPED, CommandError, Out
from cornerman.cli.store import JsonOption
from cornerman.domain.errors import RunCancelledError


def scout(
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=10_000, help="Most battles to look at.")
    ] = 200,
    json: JsonOption = False,
) -> int:
    """Scan scored battles for breakthroughs, each battle once."""
    out = Out(json)
    run_id = f"scout-{uuid.uuid4().hex[:12]}"
    result = asyncio.run(_scan(run_id, limit, out))
    stopped_by = result["stopped_by"]
    if stopped_by == "cancelled":
        raise CommandError(
            RunCancelledError(f"Scan {run_id} was cancelled.", hint="Type: cornerman scout"),
            run_id=run_id,
        )
    out.document(result)
    found = result["breakthroughs"]
    out.say(f"{result['processed']} battles looked at, {len(found)} breakthroughs.")
    for breakthrough_id in found:
        out.say(f"  {breakthrough_id}", style="green")
    return STOPPED if stopped_by in ("budget", "kill_switch") else 0


async def _scan(run_id: str, limit: int, out: Out) -> dict[str, Any]:
    # First of all: the server starts while this process imports what it needs.
    from cornerman.flows.plumbing.embedded_client import begin_early

    begin_early()
    from cornerman.cli.progress import ScanView, follow
    from cornerman.cli.store import database
    from cornerman.domain.battles.breakthroughs import ScoutParameters

    view = ScanView(out.progress)
    with database() as db, view.bars:
        from cornerman.flows.scout import scout as scan

        return await follow(db, run_id, view, scan(ScoutParameters(limit=limit, run_id=run_id)))
