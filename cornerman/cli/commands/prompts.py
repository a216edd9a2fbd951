"""`cornerman prompts`: the prompts that are in production, as a file."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from cornerman.cli.output import Out
from cornerman.cli.store import JsonOption, command_group, database

app = command_group("prompts", "The prompts that are in production.")


@app.callback()
def _group() -> None:  # pyright: ignore[reportUnusedFunction]
    """The prompts that are in production."""


@app.command("pull")
def pull(
    workflow: Annotated[str, typer.Argument(help="The workflow's id.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write it there.")] = None,
    json: JsonOption = False,
) -> None:
    """Write a workflow's best prompts to a file, for services without a network.

    A file that ends in .json is JSON, any other YAML; `cornerman.live_prompts` reads both.
    """
    import yaml

    from cornerman.storage.live import require_live_prompts

    out = Out(json)
    with database() as db, db.reading() as session:
        found = require_live_prompts(session, workflow)
    if output is not None and output.suffix == ".json":
        text = json_module.dumps(found, ensure_ascii=False, indent=2) + "\n"
    else:
        text = yaml.safe_dump(found, allow_unicode=True, sort_keys=False)
    if output is not None:
        output.write_text(text, encoding="utf-8")
        out.note(f"Wrote {output}", style=None)
    elif not json:
        out.data(text)
    out.document(found)
