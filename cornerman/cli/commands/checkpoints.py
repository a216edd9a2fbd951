"""Two checkpoints' prompts side by side, word by word.

`cornerman checkpoints`: stored prompts with the scores that they got.
"""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from cornerman.cli.output import Out, shown
from cornerman.cli.store import (
    JsonOption,
    LimitOption,
    WorkflowOption,
    command_group,
    database,
    find_checkpoint,
)
from cornerman.domain.errors import BadInputError, NotFoundError

if TYPE_CHECKING:
    from cornerman.domain.training.candidates import Checkpoint


_STYLES = {"delete": "red strike", "insert": "green", "equal": ""}
# wdiff's marks, for where there is no colour.
_MARKS = {"delete": ("[-", "-]"), "insert": ("{+", "+}"), "equal": ("", "")}
_SCORES = ("validation_score", "score")


def _pairs(old: Checkpoint, new: Checkpoint) -> dict[str, tuple[str, str]]:
    before = {name: prompt.as_shown for name, prompt in old.prompts.items()}
    after = {name: prompt.as_shown for name, prompt in new.prompts.items()}
    names = [*before, *(name for name in after if name not in before)]
    return {name: (before.get(name, ""), after.get(name, "")) for name in names}


def diff_document(old: Checkpoint, new: Checkpoint) -> dict[str, Any]:
    """The comparison for programs."""
    from cornerman.domain.texts import prompt_diff

    return {
        "before": old.id,
        "after": new.id,
        "prompts": {
            name: {
                "changed": before != after,
                "parts": [vars(part) for part in prompt_diff(before, after)],
            }
            for name, (before, after) in _pairs(old, new).items()
        },
        "metrics": {
            name: {"before": old.metrics.get(name), "after": new.metrics.get(name)}
            for name in _SCORES
        },
    }


def say_diff(out: Out, old: Checkpoint, new: Checkpoint) -> None:
    """The comparison for people: in colour, or with wdiff's marks where there is none."""
    from cornerman.domain.texts import prompt_diff

    coloured = out.text.is_terminal and not out.text.no_color
    for name, (before, after) in _pairs(old, new).items():
        same = " (the same)" if before == after else ""
        out.say(f"{name}{same}:", style="bold")
        line = Text()
        for part in prompt_diff(before, after):
            opened, closed = ("", "") if coloured else _MARKS[part.op]
            line.append(f"{opened}{part.text}{closed}", style=_STYLES[part.op])
        out.say(line)
    for name in _SCORES:
        out.say(f"{name}: {old.metrics.get(name)} -> {new.metrics.get(name)}")


app = command_group("checkpoints", "Stored prompts with the scores that they got.")

IdArgument = Annotated[str, typer.Argument(help="A checkpoint's id, or how only it begins.")]


@app.command("list")
def list_checkpoints(
    workflow: Annotated[str | None, typer.Argument(help="The workflow's id.")] = None,
    workflow_option: WorkflowOption = None,
    run_id: Annotated[str | None, typer.Option("--run-id", help="Only this run's.")] = None,
    best: Annotated[bool, typer.Option("--best", help="Only the best.")] = False,
    limit: LimitOption = 20,
    json: JsonOption = False,
) -> None:
    """List a workflow's checkpoints, newest first."""
    from cornerman.storage.checkpoints import read_checkpoints
    from cornerman.storage.workflows import read_workflow, read_workflow_ids

    out, workflow_id = Out(json), workflow_option or workflow
    with database() as db, db.reading() as session:
        known = read_workflow_ids(session)
        workflow_id = workflow_id or (known[0] if len(known) == 1 else None)
        if workflow_id is None or read_workflow(session, workflow_id) is None:
            raise _no_workflow(workflow_id, known)
        found = read_checkpoints(
            session, workflow_id, limit=limit, best=True if best else None, run_id=run_id
        )
    out.document([checkpoint.as_dict() for checkpoint in found])
    if not found:
        out.say(f"Workflow {workflow_id} has no such checkpoint.")
        return
    out.table(
        ("checkpoint", "version", "best", "validation", "train", "epoch", "run", "created"),
        [_row(checkpoint) for checkpoint in found],
    )


def _no_workflow(workflow_id: str | None, known: list[str]) -> BadInputError:
    names = ", ".join(known) if known else "none yet"
    if workflow_id is None:
        return BadInputError(f"WORKFLOW is needed; there are: {names}.", field="workflow")
    return NotFoundError(
        f"There is no workflow {workflow_id!r}; there are: {names}.", field="workflow"
    )


def _row(checkpoint: Checkpoint) -> tuple[Any, ...]:
    return (
        checkpoint.id[:8],
        checkpoint.config_version,
        "best" if checkpoint.is_best else "",
        checkpoint.validation_score,
        checkpoint.metrics.get("score"),
        checkpoint.metadata.get("epoch"),
        checkpoint.metadata.get("run_id"),
        checkpoint.created_at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
    )


@app.command("show")
def show(checkpoint_id: IdArgument, json: JsonOption = False) -> None:
    """Show one checkpoint: its prompts, scores and origin."""
    out = Out(json)
    with database() as db:
        found = find_checkpoint(db, checkpoint_id)
    out.document(found.as_dict())
    best = ", the best" if found.is_best else ""
    out.say(f"{found.id}: {found.workflow_id} version {found.config_version}{best}", style="bold")
    for name, value in {**found.metrics, **found.metadata}.items():
        out.say(f"{name}: {shown(value)}")
    for name, prompt in found.prompts.items():
        out.say(f"\n{name}{'' if prompt.requires_grad else ' (not trained)'}:", style="bold")
        out.say(prompt.as_shown)


@app.command("diff")
def diff(before: IdArgument, after: IdArgument, json: JsonOption = False) -> None:
    """Compare two checkpoints' prompts word by word, and their scores."""
    out = Out(json)
    with database() as db:
        old, new = find_checkpoint(db, before), find_checkpoint(db, after)
    out.document(diff_document(old, new))
    say_diff(out, old, new)


@app.command("export")
def export(
    checkpoint_id: IdArgument,
    form: Annotated[str, typer.Option("--format", help="json, yaml or dspy.")] = "json",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write it there.")] = None,
    json: JsonOption = False,
) -> None:
    """Write a checkpoint as JSON, as YAML, or as JSON that DSPy's `Module.load` reads."""
    from cornerman.domain.training.candidates import FORMATS, export_text

    out = Out(json)
    if form not in FORMATS:
        raise BadInputError(f"--format is {form!r}; it must be one of {', '.join(FORMATS)}.")
    with database() as db:
        found = find_checkpoint(db, checkpoint_id)
    text = export_text(found, form)
    if output is not None:
        output.write_text(text, encoding="utf-8")
        out.note(f"Wrote {output}", style=None)
    elif not json:
        out.data(text)
    path = None if output is None else str(output.resolve())
    out.document({"id": found.id, "format": form, "path": path, "content": text})


@app.command("rollback")
def rollback(
    checkpoint_id: IdArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept.")],
    json: JsonOption = False,
) -> None:
    """Make a checkpoint its workflow's best again; nothing is removed."""
    _move_best(checkpoint_id, reason, json)


@app.command("promote")
def promote(
    checkpoint_id: IdArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept.")] = "promoted by hand",
    json: JsonOption = False,
) -> None:
    """Put a checkpoint's prompts into production: they are live within a second."""
    _move_best(checkpoint_id, reason, json)


def _move_best(checkpoint_id: str, reason: str, json: bool) -> None:
    from cornerman.storage.checkpoints import read_best_checkpoint, update_best

    out = Out(json)
    if not reason.strip():
        raise BadInputError("--reason is empty; it is kept, so that others understand the move.")
    with database() as db:
        target = find_checkpoint(db, checkpoint_id)
        with db.writing() as session:
            before = read_best_checkpoint(session, target.workflow_id)
            update_best(session, target.workflow_id, target.id, reason=reason, by=_somebody())
        target = find_checkpoint(db, target.id)
    previous = None if before is None else before.id
    out.document({"checkpoint": target.as_dict(), "previous_id": previous, "reason": reason})
    out.say(
        f"{target.id} (version {target.config_version}) is the best of {target.workflow_id}"
        + ("." if previous in (None, target.id) else f", in place of {previous}.")
    )


def _somebody() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "somebody at the command line"
