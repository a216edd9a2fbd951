"""The command `cornerman`."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cornerman.cli.commands import (
    battle,
    checkpoints,
    demo,
    estimate,
    init,
    personas,
    report,
    runs,
    scout,
    train,
)
from cornerman.cli.machine import db, deploy, doctor, kill_switch, serve
from cornerman.cli.output import FAILED, Out, documents_only, report_failure
from cornerman.domain.aio import leave_process

_TYPERS_INTERRUPTED = 130

app = typer.Typer(
    name="cornerman",
    help="LLM agents that train themselves on a schedule, on a budget, with every run recorded.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("demo")(demo.demo)
app.command("init")(init.init)
app.command("train")(train.train)
app.command("battle")(battle.battle)
app.command("scout")(scout.scout)
app.command("estimate")(estimate.estimate)
app.add_typer(checkpoints.app)
app.add_typer(personas.app)
app.add_typer(runs.app)
app.add_typer(kill_switch.app)
app.command("report")(report.report)
app.add_typer(db.app)
app.command("doctor")(doctor.doctor)
app.command("deploy")(deploy.deploy)
app.command("serve")(serve.serve)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("cornerman"))
        raise typer.Exit


@app.callback()
def _everything(  # pyright: ignore[reportUnusedFunction]
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the stack of an unexpected error.")
    ] = False,
) -> None:
    """Options of every command; `run` takes them out wherever they stand."""


def _tidied(argv: Sequence[str]) -> tuple[list[str], bool, bool]:
    """Take --debug out, and --json to the end, so that both may stand anywhere."""
    end = argv.index("--") if "--" in argv else len(argv)
    options, rest = list(argv[:end]), list(argv[end:])
    as_json, debug = "--json" in options, "--debug" in options
    options = [option for option in options if option not in ("--json", "--debug")]
    # Alone it has no command to belong to, and the help is printed.
    return [*options, *(["--json"] if as_json and options else []), *rest], as_json, debug


def run(argv: Sequence[str]) -> int:
    """Run one command; return its exit code."""
    arguments, as_json, debug = _tidied(argv)
    with documents_only(as_json):
        try:
            code = app(args=arguments, prog_name="cornerman", standalone_mode=False)
        except BrokenPipeError:
            # Whoever read us has seen enough; Python would complain again at its exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())  # pyright: ignore
            return FAILED
        except SystemExit as asked:
            # Typer's own way out, such as after a completion script.
            return asked.code if isinstance(asked.code, int) else FAILED
        except BaseException as error:  # noqa: BLE001 - the last one who can say it in words
            if debug:
                traceback.print_exc()
            return report_failure(error, Out(as_json))
    if code == _TYPERS_INTERRUPTED:
        return report_failure(KeyboardInterrupt(), Out(as_json))
    return code if isinstance(code, int) else 0


def main() -> None:
    """Entry point."""
    # A user's own agent and evaluators lie where the command is typed. Last on the path, so that
    # a file there can shadow nothing; the allow-list still decides what is imported.
    with contextlib.suppress(OSError):  # the folder may be gone
        sys.path.append(str(Path.cwd()))
    leave_process(run(sys.argv[1:]))
