"""Which workflow's battles are held, who is met, and which version of the agent plays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cornerman.domain.battles.workflows import Workflow, parse_workflow
from cornerman.domain.errors import BadInputError, NotFoundError
from cornerman.domain.training.candidates import Prompts
from cornerman.personas import builtin_personas
from cornerman.storage import checkpoints, personas, workflows
from cornerman.workflows import builtin_workflow, builtin_workflow_ids, generic_workflow

SEED_VERSION = "seed"


def read_battle_workflow(session: Any, workflow_id: str) -> Workflow:
    """How the workflow's battles are held: as built in, as stored, or as for any conversation.

    Raises:
        NotFoundError: Neither a rubric nor a trained prompt of such a workflow is known.
    """
    if workflow_id in builtin_workflow_ids():
        return builtin_workflow(workflow_id)
    config = workflows.read_workflow(session, workflow_id) or {}
    if "battle" in config:
        return parse_workflow(config["battle"], name=workflow_id)
    best = checkpoints.read_best_checkpoint(session, workflow_id)
    if best is not None and best.prompts:
        return generic_workflow(workflow_id, best.prompts)
    raise NotFoundError(
        f"workflow_id: {workflow_id!r} has neither a rubric for battles nor a checkpoint; built-in "
        f"are {', '.join(builtin_workflow_ids())}.",
        field="workflow_id",
        hint=f"Train it first, or import its personas: cornerman personas import FILE "
        f"--workflow {workflow_id}",
    )


def refuse_strange_addresses(session: Any, cases: Iterable[Mapping[str, Any]]) -> None:
    """Refuse battles as cases whose agent is at an address that the stored workflow does not name.

    Cases may come over the network; a workflow with an address is stored from the command line.

    Raises:
        BadInputError: One names an address of its own.
    """
    for inputs in cases:
        described: Any = inputs.get("workflow")
        agent: Any = described.get("agent") if isinstance(described, dict) else None
        if not isinstance(agent, dict) or not agent.get("http"):
            continue
        config = workflows.read_workflow(session, str(described.get("id"))) or {}
        known = parse_workflow(config["battle"]).agent if "battle" in config else None
        if known is None or known.model_dump(mode="json") != agent:
            raise BadInputError(
                "dataset: a case's workflow.agent.http names an address that the stored workflow "
                f"{described.get('id')!r} does not.",
                field="dataset",
                hint="Store the workflow first: cornerman battle --workflow FILE",
            )


def ensure_personas(session: Any, workflow_id: str) -> None:
    """Give a built-in workflow its own personas, the first time that it is used."""
    if personas.count_personas(session, workflow_id) == 0:
        personas.create_personas(session, builtin_personas(workflow_id))


def read_agent(session: Any, workflow: Workflow) -> tuple[Prompts, str]:
    """The prompts that play, and their version's name: the best checkpoint's, else the seed."""
    best = checkpoints.read_best_checkpoint(session, workflow.id)
    if best is None or workflow.agent_prompt not in best.prompts:
        return workflow.prompts, SEED_VERSION
    return best.prompts, f"v{best.config_version}"


def read_agent_version(session: Any, workflow: Workflow, version: str) -> Prompts:
    """The prompts of a version that battles were begun with, though another may be best by now."""
    if version != SEED_VERSION:
        number = int(version.removeprefix("v"))
        found = checkpoints.read_checkpoints(session, workflow.id, before=number + 1, limit=1)
        if found and workflow.agent_prompt in found[0].prompts:
            return found[0].prompts
    return workflow.prompts
