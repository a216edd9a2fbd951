"""Reading SPEC: YAML or JSON, from a file or standard input.

A workflow of the user's own for battles, as a file: scene, rubric, limits, first prompts.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from cornerman.cli.output import Out
from cornerman.cli.store import database
from cornerman.domain.errors import BadInputError, NotFoundError
from cornerman.domain.yaml_values import read_yaml

_STDIN = "-"


def read_spec(source: str) -> dict[str, Any]:
    """Return the spec as it was written, but with the absolute path of its dataset.

    Args:
        source: A file; `-` is standard input, whose relative paths start from the current folder.

    Raises:
        NotFoundError: There is no such file.
        BadInputError: It is not YAML or JSON, or not a mapping.
    """
    try:
        # YAML holds JSON, save for tabs between tokens, which only JSON writers use.
        spec: Any = read_yaml(_read(source).replace("\t", "  "))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInputError(f"{source} is neither YAML nor JSON: {error}", field="spec") from error
    if not isinstance(spec, Mapping):
        raise BadInputError(
            f"{source} must hold a mapping with workflow_id, dataset, evaluators and prompts; "
            f"it holds {type(spec).__name__}.",
            field="spec",
        )
    folder = Path.cwd() if source == _STDIN else Path(source).expanduser().resolve().parent
    return _with_absolute_path(dict(spec), folder)


def _read(source: str) -> str:
    if source == _STDIN:
        return sys.stdin.read()
    path = Path(source).expanduser()
    if path.is_dir() or not path.exists():
        raise NotFoundError(
            f"There is no file {source!r}.", field="spec", hint="Give a YAML or JSON file, or -."
        )
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{source} cannot be read as UTF-8: {error}", field="spec") from error


def _with_absolute_path(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    dataset = spec.get("dataset")
    if isinstance(dataset, Mapping) and isinstance(dataset.get("path"), str) and dataset["path"]:
        path = folder / Path(dataset["path"]).expanduser()
        spec["dataset"] = {**dataset, "path": str(path)}
    return spec


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
    from cornerman.domain.battles.workflows import parse_workflow
    from cornerman.storage.workflows import create_workflow
    from cornerman.workflows import builtin_workflow_ids

    workflow = parse_workflow(_read_workflow(given), name=given)
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


def _read_workflow(given: str) -> str:
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
