"""Reading SPEC: YAML or JSON, from a file or standard input."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from cornerman.cli.workflow_files import is_workflow, training_on_battles
from cornerman.domain.errors import BadInputError, NotFoundError
from cornerman.domain.yaml_values import read_yaml

_STDIN = "-"


def read_spec(source: str, *, own_prompts: bool = False) -> dict[str, Any]:
    """Return the spec as it was written, but with the absolute path of its dataset
    and of its labelled cases.

    Args:
        source: A file; `-` is standard input, whose relative paths start from the current folder.
            A workflow file stands for the training on its battles.
        own_prompts: Take a workflow file's own prompts, though its best checkpoint has others.

    Raises:
        NotFoundError: There is no such file.
        BadInputError: It is not YAML or JSON, or not a mapping.
    """
    spec = _parsed(source)
    if not isinstance(spec, Mapping):
        raise BadInputError(
            f"{source} must hold a mapping with workflow_id, dataset, evaluators and prompts; "
            f"it holds {type(spec).__name__}.",
            field="spec",
        )
    if is_workflow(spec):
        made = training_on_battles(dict(spec), source, own_prompts=own_prompts)
        return with_absolute_labels(made, _folder_of(source))
    return _with_absolute_path(dict(spec), _folder_of(source))


def read_document(source: str) -> Any:
    """Return what a YAML or JSON file holds; the path of a spec's dataset is made absolute.

    Raises:
        NotFoundError: There is no such file.
        BadInputError: It is neither.
    """
    held = _parsed(source)
    if not isinstance(held, Mapping):
        return held
    return _with_absolute_path(dict(held), _folder_of(source))


def _parsed(source: str) -> Any:
    try:
        # YAML holds JSON, save for tabs between tokens, which only JSON writers use.
        return read_yaml(_read(source).replace("\t", "  "))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInputError(f"{source} is neither YAML nor JSON: {error}", field="spec") from error


def _folder_of(source: str) -> Path:
    return Path.cwd() if source == _STDIN else Path(source).expanduser().resolve().parent


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


def with_absolute_labels(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The spec with the absolute path of its judge's labelled cases."""
    judge = spec.get("judge")
    if isinstance(judge, Mapping) and isinstance(file := judge.get("calibration"), str) and file:
        spec["judge"] = {**judge, "calibration": str(folder / Path(file).expanduser())}
    return spec


def _with_absolute_path(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    dataset = spec.get("dataset")
    if isinstance(dataset, Mapping) and isinstance(dataset.get("path"), str) and dataset["path"]:
        path = folder / Path(dataset["path"]).expanduser()
        spec["dataset"] = {**dataset, "path": str(path)}
    return with_absolute_labels(spec, folder)
