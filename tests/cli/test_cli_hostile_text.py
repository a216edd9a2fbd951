"""What models and strangers wrote is printed as text: no terminal obeys it."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.progress import Progress, TextColumn
from rich.text import Text

from cornerman.cli.output import Out, make_console
from cornerman.cli.store import database
from cornerman.domain.runs import NewEvent
from cornerman.domain.training.candidates import NewCheckpoint
from cornerman.storage import events
from cornerman.storage.checkpoints import create_checkpoint
from cornerman.storage.runs import create_run, finish_run
from cornerman.storage.workflows import create_workflow
from tests.cli.conftest import Printed

HOSTILE = "a\x1b[2J\x1b]0;gone\x07b\u202edne\u2066\u009b31m\x08\r!"
FORBIDDEN = set("\x1b\x07\x08\r\u009b\u202e\u2066")
Command = Callable[..., Printed]


@pytest.fixture
def hostile_ids(command: Command) -> list[str]:
    """Two checkpoints, a run and its error, all of them full of terminal codes."""
    command("db", "upgrade")
    with database() as db, db.writing() as session:
        create_workflow(session, "labels")
        for number in (1, 2):
            prompts = {"system": {"text": f"{number} {HOSTILE}", "requires_grad": True}}
            new = NewCheckpoint(
                id=f"{number}{number}-checkpoint",
                workflow_id="labels",
                runnable_config={"prompts": prompts},
                metrics={"validation_score": 0.5},
                metadata={"why": HOSTILE},
            )
            create_checkpoint(session, new)
        create_run(
            session,
            run_id="r",
            kind="train",
            workflow_id="labels",
            request={},
            random_state={},
            simulated=True,
        )
        output = {"output": HOSTILE, "status": "errored", "error": {"message": HOSTILE}}
        events.create_event(
            session, "r", NewEvent("agentensor_trainer", "training_progress", output)
        )
        error = {"type": "X", "message": HOSTILE, "hint": HOSTILE}
        finish_run(session, "r", status="failed", stopped_by="error", error=error)
    return ["11-checkpoint", "22-checkpoint"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("checkpoints", "show", "11"),
        ("checkpoints", "diff", "11", "22"),
        ("checkpoints", "list", "labels"),
        ("runs", "show", "r"),
        ("runs", "list"),
        ("checkpoints", "show", f"none{HOSTILE}"),
    ],
)
def test_a_command_prints_no_terminal_codes_of_others(
    command: Command, hostile_ids: list[str], arguments: tuple[str, ...]
) -> None:
    printed = command(*arguments)
    assert not FORBIDDEN & set(printed.out + printed.err)
    if arguments[1] in ("show", "diff") and printed.code == 0:
        assert "dne" in printed.out, "it is shown all the same"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_every_way_out_is_the_one_way() -> None:
    for stream in (Terminal(), io.StringIO()):
        out = Out(as_json=False)
        out.text = out.progress = make_console(stream)
        out.say(HOSTILE, style="bold")
        out.say(Text(HOSTILE))
        out.note(HOSTILE)
        out.table(("x", HOSTILE), [(HOSTILE, Text(HOSTILE))])
        with Progress(TextColumn("{task.description}", markup=False), console=out.text) as bars:
            bars.add_task(HOSTILE)
        printed = stream.getvalue()
        assert printed.count("dne") >= 4
        assert not set("\x07\x08\u009b\u202e\u2066") & set(printed)
        assert "\x1b[2J" not in printed and "\x1b]0" not in printed


def test_a_file_for_programs_is_left_as_it_is() -> None:
    out = Out(as_json=False)
    piped, terminal = io.StringIO(), Terminal()
    out.text = make_console(piped)
    out.data(HOSTILE)
    out.text = make_console(terminal)
    out.data(HOSTILE)
    assert piped.getvalue() == HOSTILE and not FORBIDDEN & set(terminal.getvalue())
