"""`cornerman kill-switch`: stop every paid call, in every process."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from cornerman.cli.output import Out
from cornerman.cli.store import JsonOption, command_group, database

app = command_group("kill-switch", "Stop every paid call in every process, until turned off.")

ByOption = Annotated[str | None, typer.Option("--by", help="Who does it; default: you.")]


def _somebody() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "somebody at the command line"


def _turn(out: Out, *, active: bool, reason: str, by: str | None) -> None:
    from cornerman.storage.budgets import create_kill_switch_state

    with database() as db, db.writing() as session:
        state = create_kill_switch_state(
            session, active=active, reason=reason, by=by or _somebody()
        )
    _print(out, state.as_dict())


def _print(out: Out, state: dict[str, object]) -> None:
    out.document(state)
    if not state["since"]:
        out.say("The kill-switch is off; nobody ever turned it on.")
        return
    word, style = ("ON", "bold red") if state["active"] else ("off", "green")
    out.say(f"The kill-switch is {word} since {state['since']}.", style=style)
    out.say(f"By {state['by']}: {state['reason']}")


@app.command("on")
def on(
    reason: Annotated[str, typer.Option("--reason", help="Why; everybody stopped is told.")],
    by: ByOption = None,
    json: JsonOption = False,
) -> None:
    """Turn it on: no paid call is started any more, and running work ends within a second."""
    _turn(Out(json), active=True, reason=reason, by=by)


@app.command("off")
def off(
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "looked into",
    by: ByOption = None,
    json: JsonOption = False,
) -> None:
    """Turn it off: paid work may start again."""
    _turn(Out(json), active=False, reason=reason, by=by)


@app.command("status")
def status(json: JsonOption = False) -> None:
    """Say whether it is on, since when, by whom and why."""
    from cornerman.storage.budgets import read_kill_switch

    with database() as db, db.reading() as session:
        state = read_kill_switch(session)
    _print(Out(json), state.as_dict())
