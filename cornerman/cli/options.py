"""Options and arguments that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document; progress goes to standard error.")
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")]
WorkflowOption = Annotated[str | None, typer.Option("--workflow", "-w", help="The workflow's id.")]


def command_group(name: str, help_text: str) -> typer.Typer:
    """A group of commands such as `cornerman runs …`."""
    return typer.Typer(name=name, help=help_text, no_args_is_help=True)
