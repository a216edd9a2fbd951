"""The personas that come with Cornerman, as data files: one JSON object a line."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from cornerman.domain.personas import Persona
from cornerman.domain.personas.files import parse_personas


@cache
def builtin_personas(workflow_id: str) -> tuple[Persona, ...]:
    """The built-in personas of a workflow; empty when it has none."""
    source = files(__name__).joinpath(f"{workflow_id}.jsonl")
    if not source.is_file():
        return ()
    return tuple(
        parse_personas(
            source.read_text(encoding="utf-8"),
            name=source.name,
            workflow_id=workflow_id,
            source="builtin",
        )
    )
