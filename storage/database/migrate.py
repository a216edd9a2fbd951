"""Bring a database to this version's schema, and tell when it is not there.

Every command asks, and nearly always the answer is that the schema is current: one query and the
names of the migrations tell that. Alembic, which takes 0.15 s to import, comes when it is not.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from cornerman.domain.errors import SchemaOutdatedError, StorageError
from cornerman.storage.database import Database
from cornerman.storage.database.connect import unusable

if TYPE_CHECKING:
    from alembic.config import Config

_FOLDER = Path(__file__).parent.parent / "migrations"
# Not Alembic's own name: other programs, Prefect among them, may keep theirs in this database.
VERSION_TABLE = "cornerman_schema"
_READ_REVISION = text(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608 - our own name


def _config(connection: Connection | None = None) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    config.attributes["version_table"] = VERSION_TABLE
    return config


def head_revision() -> str:
    """The revision that this version of Cornerman works with: the last of the migrations' files."""
    revisions = [path.name.partition("_")[0] for path in (_FOLDER / "versions").glob("[0-9]*.py")]
    if not revisions:
        raise StorageError("The installation lacks its migrations.", hint="Install it again.")
    return max(revisions)


def current_revision(db: Database) -> str | None:
    """The database's revision; None when it holds no tables of ours.

    Raises:
        StorageError: The database cannot be reached.
    """
    try:
        with db.engine.connect() as connection:
            if not inspect(connection).has_table(VERSION_TABLE):
                return None
            return connection.scalar(_READ_REVISION)
    except SQLAlchemyError as error:
        raise unusable(db.engine, error) from error


def _run(db: Database, step: Any, revision: str) -> None:
    try:
        with db.write_transaction() as connection:
            step(_config(connection), revision)
    except OperationalError as error:
        raise unusable(db.engine, error) from error
    except SQLAlchemyError as error:
        raise unusable(db.engine, error, what="could not be migrated") from error


def upgrade(db: Database, revision: str = "head") -> None:
    """Bring the schema up to `revision`. Idempotent; safe to call from several processes."""
    from alembic import command

    _run(db, command.upgrade, revision)


def downgrade(db: Database, revision: str) -> None:
    """Take the schema back to `revision`; `base` removes all but the checkpoint table."""
    from alembic import command

    _run(db, command.downgrade, revision)


def require_current(db: Database) -> None:
    """Refuse to work on another schema; a database with nothing in it is set up silently.

    Raises:
        SchemaOutdatedError: With the command to type.
    """
    current, head = current_revision(db), head_revision()
    if current == head:
        return
    if current is None:
        upgrade(db)
        return
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if current not in known:
        raise SchemaOutdatedError(
            f"The database is at revision {current!r}, which is newer than this Cornerman "
            f"({head!r}).",
            hint="Install the newer Cornerman, or point it at another database.",
        )
    raise SchemaOutdatedError(
        f"The database is at revision {current!r}; this Cornerman needs {head!r}.",
        hint="Type: cornerman db upgrade",
    )
