"""The workflows that come with Cornerman, as data files."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from cornerman.domain.battles.workflows import Workflow, main_prompt, parse_workflow
from cornerman.domain.errors import NotFoundError
from cornerman.domain.training.candidates import Prompts
from cornerman.personas import builtin_personas

# Its rubric serves workflows that bring none; it is no workflow of its own.
_GENERIC = "generic"


def builtin_workflow_ids() -> list[str]:
    """The ids of the built-in workflows, sorted."""
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in files(__name__).iterdir()
        if entry.name.endswith(".yaml") and entry.name != f"{_GENERIC}.yaml"
    )


@cache
def builtin_workflow(workflow_id: str) -> Workflow:
    """Read a built-in workflow.

    Raises:
        NotFoundError: There is none of that name.
    """
    known = builtin_workflow_ids()
    if workflow_id not in known:
        raise NotFoundError(
            f"workflow_id must be one of {', '.join(known)}, but {workflow_id!r} came.",
            field="workflow_id",
        )
    return _read(workflow_id)


def generic_workflow(workflow_id: str, prompts: Prompts) -> Workflow:
    """How battles are held for a workflow of which only its prompts are known.

    The prompt named `system` plays the agent, or the first that may be rewritten.
    """
    agent = main_prompt(prompts)
    facts = {"id": workflow_id, "name": workflow_id, "prompts": prompts, "agent_prompt": agent}
    return _read(_GENERIC).model_copy(update=facts)


def lent_workflow(
    lender: str, *, workflow_id: str, name: str, agent: dict[str, Any], people: int
) -> dict[str, Any]:
    """A workflow file's document: a built-in workflow with another agent, and its first people.

    Args:
        agent: As `agent` in a workflow file.
        people: How many of the built-in personas come with it.
    """
    fields = ("name", "description", "persona_type", "system_prompt", "difficulty")
    given: dict[str, Any] = yaml.safe_load(_text(lender))
    own = {"id": workflow_id, "name": name, "agent": agent}
    met = builtin_personas(lender)[:people]
    rest = {key: value for key, value in given.items() if key not in own}
    personas = [{field: getattr(persona, field) for field in fields} for persona in met]
    return {**own, **rest, "personas": personas}


def _text(name: str) -> str:
    return files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")


def _read(name: str) -> Workflow:
    return parse_workflow(_text(name), name=f"{name}.yaml")
