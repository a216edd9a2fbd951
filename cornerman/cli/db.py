"""`cornerman db`: the database's schema."""

from __future__ import annotations

from cornerman.cli.options import JsonOption, command_group
from cornerman.cli.output import Out
from cornerman.cli.store import database

app = command_group("db", "The database's schema.")


@app.command("upgrade")
def upgrade(json: JsonOption = False) -> None:
    """Bring the database to this version's schema. It is safe to repeat."""
    from storage import migrate

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
