"""`cornerman report`: a run or batch as one HTML file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cornerman.cli.output import Out
from cornerman.cli.store import JsonOption, database, find_run

if TYPE_CHECKING:
    from cornerman.storage.database import Database


def report(
    run_id: Annotated[str, typer.Argument(help="The run's id, or how only it begins.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file; default: RUN_ID.html.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write a training run or a battle batch as one HTML file that opens without a network."""
    out = Out(json)
    with database() as db:
        run = find_run(db, run_id)
        path = output or Path(f"{run.id}.html")
        asyncio.run(write_report(db, path, run.id))
    document = {"run_id": run.id, "path": str(path.resolve()), "bytes": path.stat().st_size}
    out.document(document | {"simulated": run.simulated})
    out.say(f"Wrote {path}")


async def write_report(db: Database, path: Path, *run_ids: str) -> None:
    """Write the report of a training run, a batch, or one of each."""
    from cornerman.report import render_report
    from cornerman.tasks.report import build_report

    page = render_report(await build_report(db, *run_ids))
    await asyncio.to_thread(_write, path, page)


def _write(path: Path, page: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
