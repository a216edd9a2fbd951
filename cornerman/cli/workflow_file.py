"""A workflow of the user's own for battles, as a file: scene, rubric, limits, first prompts."""

from __future__ import annotations

from pathlib import Path

import yaml

from cornerman.cli.output import Out
from cornerman.cli.store import database
from cornerman.domain.errors import BadInputError, NotFoundError

_SUFFIXES = (".yaml", ".yml", ".json")


def workflow_id_of(given: str, out: Out) -> str:
    """The id of the workflow that `--workflow` names; a file is stored first.

    Args:
        given: An id, or the path of a YAML or JSON file in the form of the built-in workflows.

    Raises:
        NotFoundError: There is no such file.
        BadInputError: It does not describe a workflow, or has a built-in one's id.
    """
    if not given.lower().endswith(_SUFFIXES):
        return given
    from cornerman.domain.workflows import parse_workflow
    from cornerman.storage.workflows import create_workflow
    from cornerman.workflows import builtin_workflow_ids

    workflow = parse_workflow(_read(given), name=given)
    if workflow.id in builtin_workflow_ids():
        raise BadInputError(
            f"{given}: id: {workflow.id!r} is a built-in workflow; give yours another id.",
            field="workflow",
        )
    stored = yaml.safe_dump(workflow.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    with database() as db, db.writing() as session:
        create_workflow(session, workflow.id, {"battle": stored})
    out.note(f"{given}: workflow {workflow.id}, as it is from now on.", style=None)
    return workflow.id


def _read(given: str) -> str:
    path = Path(given).expanduser()
    if not path.is_file():
        raise NotFoundError(
            f"There is no file {given!r}.",
            field="workflow",
            hint="Give a workflow's id, or a YAML file that describes one.",
        )
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{given} cannot be read: {error}", field="workflow") from error
