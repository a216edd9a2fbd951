"""Checkpoints that another program kept: read from its database, added to ours once."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from sqlalchemy import Engine, create_engine, func, insert, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import Session

from cornerman.domain.errors import BadInputError, NotFoundError
from cornerman.domain.secrets import register_secrets
from cornerman.domain.training.migrated import COLUMNS, MigratedCheckpoint
from cornerman.storage.checkpoints import read_best_checkpoint, read_checkpoint, update_best
from cornerman.storage.database.connect import unusable
from cornerman.storage.tables import agentensor_checkpoints as table
from cornerman.storage.workflows import create_workflow

TABLE = "agentensor_checkpoints"
_BATCH = 500
_CONNECT_SECONDS = 10
Added = Literal["new", "renumbered", "known", "another's"]


def open_foreign(address: str) -> Engine:
    """An engine for another program's database, which is only read.

    Args:
        address: A SQLite file, `sqlite:///FILE`, or `postgresql://…`.

    Raises:
        NotFoundError: There is no such file.
        BadInputError: It is no such address.
    """
    if address.lower().startswith(("postgresql://", "postgres://")):
        rest = address.partition("://")[2]
        try:
            url = make_url(f"postgresql+psycopg://{rest}")
        except (ArgumentError, ValueError):
            raise _no_address() from None
        register_secrets(url.password)
        return create_engine(
            url,
            connect_args={"connect_timeout": _CONNECT_SECONDS},
            execution_options={"postgresql_readonly": True},
            hide_parameters=True,
        )
    if "://" in address and not address.lower().startswith("sqlite:///"):
        raise _no_address()
    path = Path(address.removeprefix("sqlite:///")).expanduser().absolute()
    if not path.is_file():
        raise NotFoundError(
            f"There is no file {str(path)!r}.",
            field="database",
            hint="Give Orcheo's SQLite file, or its postgresql:// address.",
        )
    # Not even a journal mode is changed in a file that is somebody else's.
    return create_engine(f"sqlite:///file:{quote(str(path))}?mode=ro&uri=true")


def _no_address() -> BadInputError:
    # The address is not quoted: it may hold a password.
    return BadInputError(
        "DATABASE is neither a SQLite file nor a postgresql:// address.", field="database"
    )


def read_foreign_checkpoints(engine: Engine) -> Generator[list[dict[str, Any]]]:
    """Its checkpoints in batches, each workflow's in the order of their versions.

    Raises:
        BadInputError: It has no table of checkpoints, or one without a column that is needed.
        StorageError: It cannot be read.
    """
    try:
        names = inspect(engine).get_table_names()
        if TABLE not in names:
            listed = ", ".join(sorted(names)[:10]) or "none"
            raise BadInputError(
                f"The database has no table {TABLE}; it has: {listed}.", field="database"
            )
        held = {str(column["name"]) for column in inspect(engine).get_columns(TABLE)}
        if missing := [name for name in COLUMNS if name not in held]:
            raise BadInputError(f"Its table {TABLE} has no column {missing[0]}.", field="database")
        query = text(
            f"SELECT * FROM {TABLE} ORDER BY workflow_id, config_version, created_at, id"  # noqa: S608
        )
        with engine.connect() as connection:
            rows = connection.execution_options(yield_per=_BATCH).execute(query)
            for batch in rows.mappings().partitions():
                yield [dict(row) for row in batch]
    except DBAPIError as error:
        raise unusable(engine, error, what="cannot be read") from None


def create_migrated(session: Session, given: Sequence[MigratedCheckpoint]) -> list[Added]:
    """Add checkpoints that are not there yet, none as the best; says what became of each.

    A version that a newer one here has passed gets the next one; what it was stays in `metadata`.
    """
    return [_create(session, one) for one in given]


def _create(session: Session, new: MigratedCheckpoint) -> Added:
    home = session.execute(select(table.c.workflow_id).where(table.c.id == new.id)).scalar()
    if home is not None:
        return "known" if home == new.workflow_id else "another's"
    create_workflow(session, new.workflow_id)
    highest = select(func.max(table.c.config_version)).where(table.c.workflow_id == new.workflow_id)
    newest = session.execute(highest).scalar_one_or_none() or 0
    version = max(new.config_version, newest + 1)
    session.execute(
        insert(table).values(
            id=new.id,
            workflow_id=new.workflow_id,
            config_version=version,
            runnable_config=new.runnable_config,
            metrics=new.metrics,
            metadata=new.metadata,
            artifact_url=new.artifact_url,
            is_best=False,
            created_at=new.created_at,
        )
    )
    return "new" if version == new.config_version else "renumbered"


def adopt_best(session: Session, workflow_id: str, checkpoint_id: str) -> str | None:
    """Make what was the best there the best here, where there is none yet.

    Returns:
        The id of the workflow's best as it stands; None when it has none.
    """
    best = read_best_checkpoint(session, workflow_id)
    if best is not None:
        return best.id
    if read_checkpoint(session, workflow_id, checkpoint_id) is None:
        return None
    update_best(session, workflow_id, checkpoint_id, reason="the best in Orcheo", by="migrate")
    return checkpoint_id
