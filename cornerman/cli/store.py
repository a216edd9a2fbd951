"""Options and arguments that several commands share.

The database for commands, and finding things in it by abbreviated ids.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import TYPE_CHECKING, Annotated

import typer

from cornerman.domain.errors import BadInputError, NotFoundError

if TYPE_CHECKING:
    from cornerman.domain.runs import Run
    from cornerman.domain.training.candidates import Checkpoint
    from cornerman.storage.database import Database


JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document; progress goes to standard error.")
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")]
WorkflowOption = Annotated[str | None, typer.Option("--workflow", "-w", help="The workflow's id.")]


def command_group(name: str, help_text: str) -> typer.Typer:
    """A group of commands such as `cornerman runs …`."""
    return typer.Typer(name=name, help=help_text, no_args_is_help=True)


_NEWEST_SEARCHED = 1000


@contextlib.contextmanager
def database(*, any_schema: bool = False) -> Generator[Database]:
    """The configured database.

    Args:
        any_schema: Open it whatever its schema, to upgrade it or to look at it.

    Raises:
        SettingsError: The settings name no usable database.
        StorageError: It cannot be reached, or its schema is another version's.
    """
    from cornerman.settings import get_settings
    from cornerman.storage.database import Database, migrate

    db = Database(get_settings().database_url().url.get_secret_value())
    try:
        if not any_schema:
            migrate.require_current(db)
        yield db
    finally:
        db.close()


def find_run(db: Database, run_id: str) -> Run:
    """The run of that id, or the only recent one whose id begins so.

    Raises:
        NotFoundError: There is none.
        BadInputError: There are several.
    """
    from cornerman.storage import runs

    with db.reading() as session:
        run = runs.read_run(session, run_id)
        if run is not None:
            return run
        recent = runs.read_runs(session, limit=_NEWEST_SEARCHED)
    matches = [run for run in recent if run_id and run.id.startswith(run_id)]
    if len(matches) > 1:
        raise BadInputError(
            f"{len(matches)} runs begin with {run_id!r}: {', '.join(r.id for r in matches[:5])}.",
            field="run_id",
            hint="Give more of the id.",
        )
    if not matches:
        raise NotFoundError(
            f"There is no run {run_id!r}.", field="run_id", hint="Type: cornerman runs list"
        )
    return matches[0]


def find_checkpoint(db: Database, checkpoint_id: str) -> Checkpoint:
    """The checkpoint of that id, or the only one whose id begins so.

    Raises:
        NotFoundError: There is none, or several begin so.
    """
    from cornerman.storage import checkpoints

    with db.reading() as session:
        found = checkpoints.find_checkpoint(session, checkpoint_id) if checkpoint_id else None
    if found is None:
        raise NotFoundError(
            f"No checkpoint, or more than one, has an id that begins with {checkpoint_id!r}.",
            field="checkpoint_id",
            hint="Type: cornerman checkpoints list WORKFLOW",
        )
    return found
