"""A checkpoint as Orcheo stored it, made into one that can be stored here.

Its table is the one that ours began as; 0.46 has one column more, `workspace_id`. JSON columns are
documents on PostgreSQL and text on SQLite.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from pydantic import ValidationError

from cornerman.domain.errors import BadInputError
from cornerman.domain.json_values import json_fault, mask_secrets, shown
from cornerman.domain.training import WORKFLOW_ID_PATTERN
from cornerman.domain.training.candidates import Prompt

COLUMNS = (
    "id",
    "workflow_id",
    "config_version",
    "runnable_config",
    "metrics",
    "metadata",
    "artifact_url",
    "is_best",
    "created_at",
)
MOST_VERSION = 2**31 - 1


@dataclass(frozen=True)
class MigratedCheckpoint:
    """One row that can be taken.

    Args:
        config_version: As it was there; a workflow that has newer ones here gives it another.
        metadata: As it was, and under `orcheo` what has no column here.
        masked: Whether something in its config looked like a secret and was hidden.
    """

    id: str
    workflow_id: str
    config_version: int
    runnable_config: dict[str, Any]
    metrics: dict[str, Any]
    metadata: dict[str, Any]
    artifact_url: str | None
    is_best: bool
    created_at: datetime
    masked: bool = False


def migrated_checkpoint(row: Mapping[str, Any], rename: Mapping[str, str]) -> MigratedCheckpoint:
    """Return what a row holds.

    Args:
        row: By column name; `workspace_id` may be absent.
        rename: New workflow ids by the old ones.

    Raises:
        BadInputError: It cannot be taken. The message says why in words that many rows share,
            so that they can be counted; `field` is the column.
    """
    given = _text(row, "workflow_id")
    workflow_id = rename.get(given, given)
    if not re.fullmatch(WORKFLOW_ID_PATTERN, workflow_id):
        raise _refused("workflow_id", f"does not match {WORKFLOW_ID_PATTERN}; give it another name")
    config = _document(row, "runnable_config")
    prompts = _prompts(config)
    rest = {name: value for name, value in config.items() if name != "prompts"}
    # A graph's `configurable` may hold keys, and no secret reaches a checkpoint.
    masked: dict[str, Any] = mask_secrets(rest)
    version = _version(row)
    origin: dict[str, Any] = {"config_version": version, "was_best": bool(row["is_best"])}
    if row.get("workspace_id") is not None:
        origin["workspace_id"] = str(row["workspace_id"])
    artifact = row["artifact_url"]
    return MigratedCheckpoint(
        id=_text(row, "id"),
        workflow_id=workflow_id,
        config_version=version,
        runnable_config=masked if prompts is None else {**masked, "prompts": prompts},
        metrics=_document(row, "metrics"),
        metadata={**_document(row, "metadata"), "orcheo": origin},
        artifact_url=None if artifact is None else str(artifact),
        is_best=bool(row["is_best"]),
        created_at=_moment(row),
        masked=masked != rest,
    )


def _refused(column: str, why: str) -> BadInputError:
    return BadInputError(f"{column} {why}", field=column)


def _text(row: Mapping[str, Any], column: str) -> str:
    value = "" if row[column] is None else str(row[column])
    if not value.strip():
        raise _refused(column, "is empty")
    if json_fault(value):
        raise _refused(column, "holds what no database takes as text")
    return value


def _document(row: Mapping[str, Any], column: str) -> dict[str, Any]:
    value = row[column]
    if isinstance(value, (str, bytes)):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise _refused(column, "is not JSON") from None
    if not isinstance(value, dict):
        raise _refused(column, "is not an object")
    return cast("dict[str, Any]", value)


def _prompts(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The config's prompts as they are, once each can be read here."""
    held: Any = config.get("prompts")
    if held is None:
        return None
    if not isinstance(held, dict):
        raise _refused("runnable_config.prompts", "is not an object")
    for prompt in cast("dict[str, Any]", held).values():
        try:
            Prompt.model_validate(prompt)
        except ValidationError as error:
            first = error.errors()[0]
            path = ".".join(str(part) for part in first["loc"]) or "a prompt"
            raise _refused(f"runnable_config.prompts: {path}:", first["msg"].lower()) from None
    return held


def _version(row: Mapping[str, Any]) -> int:
    value = row["config_version"]
    if not isinstance(value, int) or not 1 <= value <= MOST_VERSION:
        raise _refused("config_version", "is not a whole number over 0")
    return value


def _moment(row: Mapping[str, Any]) -> datetime:
    value = row["created_at"]
    if not isinstance(value, datetime):
        try:
            value = datetime.fromisoformat(str(value))
        except ValueError:
            raise _refused("created_at", "is not a time in ISO 8601") from None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def parse_rename(given: list[str]) -> dict[str, str]:
    """Workflow ids by what they were, from `OLD=NEW` texts.

    Raises:
        BadInputError: One has another form, or a name that no workflow may have.
    """
    found = dict[str, str]()
    for text in given:
        old, mark, new = text.partition("=")
        if not mark or not old or not re.fullmatch(WORKFLOW_ID_PATTERN, new):
            raise BadInputError(
                f"--rename: {shown(text)} is not OLD=NEW with a NEW that matches "
                f"{WORKFLOW_ID_PATTERN}.",
                field="rename",
                hint="Such as --rename 5b1f1d0c-6f8e-4d0a-8a52-0d4d1c4f3f10=support",
            )
        found[old] = new
    return found
