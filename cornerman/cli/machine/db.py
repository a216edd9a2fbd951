"""`cornerman db`: the database's schema, and what it need not keep."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import typer

from cornerman.cli.output import Out
from cornerman.cli.store import JsonOption, command_group, database

app = command_group("db", "The database's schema, and what it need not keep.")


@app.command("upgrade")
def upgrade(json: JsonOption = False) -> None:
    """Bring the database to this version's schema. It is safe to repeat."""
    from cornerman.storage.database import migrate

    out = Out(json)
    with database(any_schema=True) as db:
        before = migrate.current_revision(db)
        migrate.upgrade(db)
        after = migrate.current_revision(db)
        address = db.engine.url.render_as_string(hide_password=True)
    out.document({"database": address, "before": before, "after": after})
    if before == after:
        out.say(f"{address} is at revision {after} already.")
    else:
        out.say(f"{address} is now at revision {after}.")


@app.command("prune")
def prune(
    older_than: Annotated[
        float,
        typer.Option("--older-than", min=0, metavar="DAYS", help="Runs that ended earlier."),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what would be deleted.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Delete events, case rows, turns and single calls of old runs, and old cached answers.

    Checkpoints, personas, verdicts, figures and what everything cost are kept. A run that was
    pruned cannot be resumed.
    """
    out = Out(json)
    with database() as db:
        document = _prune(db, older_than, dry_run=dry_run)
    out.document(document)
    verb = "Would delete" if dry_run else "Deleted"
    rows = ", ".join(f"{number} {name}" for name, number in document["rows"].items() if number)
    out.say(f"{verb} of {document['runs']} runs: {rows or 'nothing'}.")


def _prune(db: Any, days: float, *, dry_run: bool) -> dict[str, Any]:
    from cornerman.storage import prune as pruning
    from cornerman.storage.database.types import now

    before = now() - timedelta(days=days)
    with db.reading() as session:
        run_ids = pruning.read_prunable_ids(session, before)
    total = pruning.Pruned()
    # A transaction for each run, so that runs that go on never wait long.
    work = pruning.count_prunable if dry_run else pruning.prune_run
    for run_id in run_ids:
        with db.reading() if dry_run else db.writing() as session:
            total += work(session, run_id)
    with db.reading() if dry_run else db.writing() as session:
        cache = pruning.count_cache if dry_run else pruning.prune_cache
        answers = cache(session, before)
    return {
        "dry_run": dry_run,
        "before": before.isoformat(),
        "runs": len(run_ids),
        "rows": total.as_dict() | {"response_cache": answers},
    }
