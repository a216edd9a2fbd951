"""The workflows that come with Cornerman, as data files."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from cornerman.domain.errors import NotFoundError
from cornerman.domain.workflows import Workflow, parse_workflow


def builtin_workflow_ids() -> list[str]:
    """The ids of the built-in workflows, sorted."""
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in files(__name__).iterdir()
        if entry.name.endswith(".yaml")
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
    text = files(__name__).joinpath(f"{workflow_id}.yaml").read_text(encoding="utf-8")
    return parse_workflow(text, name=f"{workflow_id}.yaml")
