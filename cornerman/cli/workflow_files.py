"""A workflow of the user's own as a file: agent, prompts, scene, rubric, limits, its people.

`cornerman battle --workflow FILE` holds its battles; `cornerman train FILE` trains on them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cornerman.cli.output import Out
from cornerman.cli.store import database
from cornerman.domain.errors import BadInputError, NotFoundError
from cornerman.domain.yaml_values import read_yaml

if TYPE_CHECKING:
    from cornerman.domain.battles.workflows import Workflow
    from cornerman.domain.personas import Persona

_SUFFIXES = (".yaml", ".yml", ".json")


def workflow_id_of(given: str, out: Out) -> str:
    """The id of the workflow that `--workflow` names; a file is stored first, with its personas.

    Args:
        given: An id, or the path of a YAML or JSON file in the form of the built-in workflows.

    Raises:
        NotFoundError: There is no such file.
        BadInputError: It does not describe a workflow, or has a built-in one's id.
    """
    if not given.lower().endswith(_SUFFIXES):
        return given
    workflow, personas = parse_workflow_file(_read(given), given)
    _store(workflow, personas)
    people = f", with {len(personas)} personas" if personas else ""
    out.note(f"{given}: workflow {workflow.id}, as it is from now on{people}.", style=None)
    return workflow.id


def is_workflow(document: Mapping[str, Any]) -> bool:
    """Whether a file that was given as a training spec describes a workflow for battles."""
    return "rubric" in document and "scenarios" in document and "dataset" not in document


def training_on_battles(
    document: dict[str, Any], name: str, *, own_prompts: bool = False
) -> dict[str, Any]:
    """The training spec of a workflow file: battles with its active personas as cases.

    The workflow is stored as for a battle. Training goes on from its best checkpoint, where there
    is one, unless the file's own prompts are wanted; the cases lie in CORNERMAN_HOME, so that a
    nightly retraining finds them.

    Raises:
        BadInputError: It describes no workflow, or one that nobody is met in.
    """
    from cornerman.domain.battles.workflows import BattleTraining
    from cornerman.domain.personas.selection import no_active_personas
    from cornerman.storage.checkpoints import read_best_checkpoint
    from cornerman.storage.personas import read_personas
    from cornerman.tasks.battle_agent import ENTRYPOINT, SCORE, battle_cases

    workflow, personas = parse_workflow_file(yaml.safe_dump(document, allow_unicode=True), name)
    _store(workflow, personas)
    training = workflow.training or BattleTraining()
    with database() as db, db.reading() as session:
        met = read_personas(session, workflow.id, active=True)
        best = read_best_checkpoint(session, workflow.id)
    if not met:
        raise no_active_personas(workflow.id, switched_off=False)
    cases = battle_cases(workflow, met, training.battles_per_persona, training.seed)
    spec: dict[str, Any] = {
        "workflow_id": workflow.id,
        "graph_config": {"entrypoint": ENTRYPOINT},
        "dataset": {"path": str(_keep(cases)), "split": training.split.model_dump(mode="json")},
        "evaluators": [{"id": "battle", "entrypoint": SCORE}],
        "optimizer": training.optimizer.model_dump(mode="json"),
    }
    if training.judge is not None:
        spec["judge"] = training.judge.model_dump(mode="json")
    if own_prompts or best is None or workflow.agent_prompt not in best.prompts:
        prompts = {name: p.model_dump(mode="json") for name, p in workflow.prompts.items()}
        spec["prompts"] = prompts
    return spec


def _keep(cases: list[dict[str, Any]]) -> Path:
    """Write the cases where they stay, under a name that tells their content."""
    from cornerman.settings import get_settings

    text = "".join(json.dumps(case, ensure_ascii=False) + "\n" for case in cases)
    folder = get_settings().home / "battle-cases"
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.jsonl"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    return path


def parse_workflow_file(text: str, name: str) -> tuple[Workflow, list[Persona]]:
    """The workflow that a file describes, and the people that it brings.

    Raises:
        BadInputError: It does not describe a workflow, has a built-in one's id, or somebody in it
            is no persona.
    """
    from cornerman.domain.battles.workflows import parse_workflow
    from cornerman.domain.personas.files import parse_personas
    from cornerman.workflows import builtin_workflow_ids

    try:
        document: Any = read_yaml(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise BadInputError(f"{name} is not YAML: {error}") from error
    rows = document.pop("personas", None) if isinstance(document, dict) else None
    workflow = parse_workflow(yaml.safe_dump(document, allow_unicode=True), name=name)
    if workflow.id in builtin_workflow_ids():
        raise BadInputError(
            f"{name}: id: {workflow.id!r} is a built-in workflow; give yours another id.",
            field="workflow",
        )
    if rows is None:
        return workflow, []
    if not isinstance(rows, list):
        kind = type(rows).__name__
        raise BadInputError(
            f"{name}: personas must be a list of people, but {kind} came.", field="personas"
        )
    lines = "\n".join(json.dumps(row, ensure_ascii=False, default=str) for row in rows)
    where = f"{name}: personas"
    return workflow, parse_personas(lines, name=where, format="jsonl", workflow_id=workflow.id)


def _store(workflow: Workflow, personas: list[Persona]) -> None:
    from cornerman.storage.personas import create_personas
    from cornerman.storage.workflows import create_workflow

    stored = yaml.safe_dump(workflow.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    with database() as db, db.writing() as session:
        create_workflow(session, workflow.id, {"battle": stored})
        create_personas(session, personas)


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
