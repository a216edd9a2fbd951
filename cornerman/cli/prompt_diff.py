"""Two checkpoints' prompts side by side, word by word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from cornerman.cli.output import Out

if TYPE_CHECKING:
    from cornerman.domain.checkpoints import Checkpoint

_STYLES = {"delete": "red strike", "insert": "green", "equal": ""}
# wdiff's marks, for where there is no colour.
_MARKS = {"delete": ("[-", "-]"), "insert": ("{+", "+}"), "equal": ("", "")}
_SCORES = ("validation_score", "score")


def _pairs(old: Checkpoint, new: Checkpoint) -> dict[str, tuple[str, str]]:
    before = {name: prompt.text for name, prompt in old.prompts.items()}
    after = {name: prompt.text for name, prompt in new.prompts.items()}
    names = [*before, *(name for name in after if name not in before)]
    return {name: (before.get(name, ""), after.get(name, "")) for name in names}


def diff_document(old: Checkpoint, new: Checkpoint) -> dict[str, Any]:
    """The comparison for programs."""
    from cornerman.domain.textdiff import prompt_diff

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
    from cornerman.domain.textdiff import prompt_diff

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
