"""What a person is told after a training run: what changed in the prompts, and what to do next."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from cornerman.cli.output import Out
from cornerman.cli.store import database

_STYLES = {"delete": "red strike", "insert": "green", "equal": "dim"}
# wdiff's marks, for where there is no colour.
_MARKS = {"delete": ("[-", "-]"), "insert": ("{+", "+}"), "equal": ("", "")}
# What stayed as it was needs no more than to say where one is.
_EQUAL_CHARS = 40
_MOST_CHARS = 600


def say_next(out: Out, result: dict[str, Any]) -> None:
    """The prompts' change in a few lines, and the commands that show and use it."""
    improvement = result.get("improvement") or {}
    best = result["best_checkpoint"]
    if remark := improvement.get("remark"):
        out.say(f"Note: {remark}", style="yellow")
    if improvement.get("unchanged"):
        out.say("Unchanged: no rewrite did better than the prompts that it started from.")
    else:
        say_change(out, result["run_id"], result["prompts"])
    out.say("Next:", style="bold")
    for command, what in _commands(result["run_id"], best, _first(result)):
        out.say(f"  {command:<58} {what}")


def _first(result: dict[str, Any]) -> dict[str, Any] | None:
    """The checkpoint of the prompts that the run started from."""
    stored = result.get("checkpoints") or []
    return next((c for c in stored if c["metadata"].get("candidate_id") == "c0"), None)


def _commands(
    run_id: str, best: dict[str, Any] | None, first: dict[str, Any] | None
) -> list[tuple[str, str]]:
    commands = [(f"cornerman report {run_id} -o {run_id}.html", "curves, cases, costs")]
    if best is None:
        return commands
    name = best["id"][:8]
    if first is not None and first["id"] != best["id"]:
        commands.append((f"cornerman checkpoints diff {first['id'][:8]} {name}", "word by word"))
    use = f"cornerman checkpoints export {name} --format yaml -o prompts.yaml"
    return [*commands, (use, "use the prompts")]


def say_change(out: Out, run_id: str, prompts: dict[str, Any]) -> None:
    """What a run changed in its prompts, word by word; nothing where it changed none."""
    from cornerman.domain.training.candidates import Prompt
    from cornerman.storage.cases import read_candidates

    with database() as db, db.reading() as session:
        known = {candidate.id: candidate for candidate, _ in read_candidates(session, run_id)}
    start = known.get("c0")
    if start is None:
        return
    for name, prompt in prompts.items():
        before = start.prompts[name].as_shown if name in start.prompts else ""
        after = Prompt.model_validate(prompt).as_shown
        if before != after:
            out.say(f"Changed in {name}:", style="bold")
            out.say(_change(before, after, coloured=out.text.is_terminal))


def _change(before: str, after: str, *, coloured: bool) -> Text:
    from cornerman.domain.texts import prompt_diff

    line = Text("  ")
    for part in prompt_diff(before, after):
        opened, closed = ("", "") if coloured else _MARKS[part.op]
        said = _shortened(part.text) if part.op == "equal" else part.text
        line.append(f"{opened}{said}{closed}".replace("\n", "\n  "), style=_STYLES[part.op])
        if len(line) > _MOST_CHARS:
            return line[:_MOST_CHARS].append(" …")
    return line


def _shortened(text: str) -> str:
    if len(text) <= 2 * _EQUAL_CHARS:
        return text
    return f"{text[:_EQUAL_CHARS]} … {text[-_EQUAL_CHARS:]}"
