"""`cornerman migrate`: what another program kept, brought over."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cornerman.cli.output import FAILED, Out
from cornerman.cli.store import JsonOption, command_group, database
from cornerman.domain.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cornerman.domain.training.migrated import MigratedCheckpoint
    from cornerman.storage.database import Database

app = command_group("migrate", "Bring over what another program kept.")


@app.callback()
def _group() -> None:  # pyright: ignore[reportUnusedFunction]
    """Bring over what another program kept."""


@app.command("orcheo")
def orcheo(
    source: Annotated[
        str,
        typer.Argument(metavar="DATABASE", help="Its SQLite file or postgresql:// address."),
    ],
    rename: Annotated[
        list[str] | None,
        typer.Option("--rename", metavar="OLD=NEW", help="Another id for a workflow; repeatable."),
    ] = None,
    json: JsonOption = False,
) -> int:
    """Add Orcheo's checkpoints to ours; doing so again adds only what is new there.

    Its database is only read. A password may come from PGPASSWORD or ~/.pgpass.
    """
    from cornerman.domain.training.migrated import parse_rename
    from cornerman.storage.migrated import open_foreign

    out = Out(json)
    names = parse_rename(rename or [])
    engine = open_foreign(source)
    try:
        with database() as db:
            done = _Migration(db, names)
            done.run(engine)
    finally:
        engine.dispose()
    out.document(done.document())
    _say(out, done)
    took_any = done.counts["new"] + done.counts["renumbered"] + done.counts["known"]
    return FAILED if done.read and not took_any else 0


class _Migration:
    """One going over of the other database, and what it came to."""

    def __init__(self, db: Database, rename: Mapping[str, str]) -> None:
        self._db = db
        self._rename = rename
        self.read = 0
        self.masked = 0
        self.counts = Counter[str]()
        self.reasons = dict[str, list[str]]()
        self.workflows = dict[str, dict[str, Any]]()
        self._was_best = dict[str, list[str]]()

    def run(self, engine: Any) -> None:
        """Take what is new there; `engine` is `cornerman.storage.migrated.open_foreign`'s."""
        from cornerman.storage.migrated import (
            adopt_best,
            create_migrated,
            read_foreign_checkpoints,
        )

        for batch in read_foreign_checkpoints(engine):
            taken = [one for row in batch if (one := self._taken(row)) is not None]
            with self._db.writing() as session:
                added = create_migrated(session, taken)
            for one, what in zip(taken, added, strict=True):
                self._count(one, what)
        # Last, and again each time: a killed migration is finished by the next one.
        with self._db.writing() as session:
            for workflow_id, ids in self._was_best.items():
                home = self.workflows[workflow_id]
                # The newest stands where its writers left several.
                home["best_there"] = ids[-1]
                home["best"] = adopt_best(session, workflow_id, ids[-1])

    def _taken(self, row: dict[str, Any]) -> MigratedCheckpoint | None:
        from cornerman.domain.training.migrated import migrated_checkpoint

        self.read += 1
        try:
            return migrated_checkpoint(row, self._rename)
        except BadInputError as error:
            self._refuse(error.message, str(row.get("id")))
            return None

    def _refuse(self, reason: str, checkpoint_id: str) -> None:
        self.counts["not_taken"] += 1
        self.reasons.setdefault(reason, []).append(checkpoint_id)

    def _count(self, one: MigratedCheckpoint, what: str) -> None:
        if what == "another's":
            self._refuse("its id is here already, as another workflow's checkpoint", one.id)
            return
        self.counts[what] += 1
        home = self.workflows.setdefault(
            one.workflow_id, {"new": 0, "known": 0, "best": None, "best_there": None}
        )
        home["known" if what == "known" else "new"] += 1
        if what != "known":
            self.masked += one.masked
        if one.is_best:
            self._was_best.setdefault(one.workflow_id, []).append(one.id)

    def document(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "read": self.read,
            "new": self.counts["new"] + self.counts["renumbered"],
            "renumbered": self.counts["renumbered"],
            "known": self.counts["known"],
            "not_taken": self.counts["not_taken"],
            "masked": self.masked,
            "reasons": [
                {"reason": reason, "count": len(ids), "ids": ids[:10]}
                for reason, ids in self.reasons.items()
            ],
            "workflows": self.workflows,
        }


def _say(out: Out, done: _Migration) -> None:
    found = done.document()
    out.say(
        f"{found['read']} checkpoints read: {found['new']} new, {found['known']} known, "
        f"{found['not_taken']} not taken.",
        style="bold",
    )
    if done.workflows:
        rows = [(name, w["new"], w["known"], w["best"]) for name, w in done.workflows.items()]
        out.table(("workflow", "new", "known", "best"), rows)
    if found["renumbered"]:
        out.say(f"{found['renumbered']} have another version here, as newer ones were there.")
    if found["masked"]:
        out.say(f"In {found['masked']}, what looked like a secret in the config is hidden.")
    for reason in found["reasons"]:
        more = "" if reason["count"] == 1 else f" and {reason['count'] - 1} more"
        out.note(f"Not taken: {reason['reason']} ({reason['ids'][0]}{more}).")
    for name, home in done.workflows.items():
        if home["best_there"] != home["best"]:
            out.note(
                f"{name}: the best stays {home['best']}; there it is {home['best_there']}. "
                f"Type: cornerman checkpoints promote {home['best_there']}"
            )
