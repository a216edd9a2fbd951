"""The command `cornerman`.

What a command imports is what a person waits for, so only the command that was typed is loaded;
what it needs beyond that it imports itself, where it needs it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from cornerman.cli.output import FAILED, Out, documents_only, report_failure
from cornerman.domain.aio import leave_process

_TYPERS_INTERRUPTED = 130
_RARELY = 50_000  # more objects, where Python's own 700 make it look hundreds of times

app = typer.Typer(
    name="cornerman",
    help="LLM agents that train themselves on a schedule, on a budget, with every run recorded.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# Where each stands, in the order in which help lists them; a module with an `app` is a group.
_COMMANDS = {
    "demo": "commands.demo",
    "init": "commands.init",
    "train": "commands.train",
    "evaluate": "commands.evaluate",
    "battle": "commands.battle",
    "scout": "commands.scout",
    "estimate": "commands.estimate",
    "judge": "commands.judge",
    "checkpoints": "commands.checkpoints",
    "prompts": "commands.prompts",
    "dataset": "commands.dataset",
    "personas": "commands.personas",
    "migrate": "commands.migrate",
    "runs": "commands.runs",
    "kill-switch": "machine.kill_switch",
    "report": "commands.report",
    "db": "machine.db",
    "doctor": "machine.doctor",
    "deploy": "machine.deploy",
    "serve": "machine.serve",
    "stop": "machine.stop",
}


def _load(arguments: Sequence[str]) -> None:
    """Register the command that is typed, or all of them for the help."""
    typed = next((word for word in arguments if not word.startswith("-")), None)
    app.registered_commands.clear()
    app.registered_groups.clear()
    # A shell that completes a line asks by its environment.
    one = typed in _COMMANDS and "_CORNERMAN_COMPLETE" not in os.environ
    for name in [typed] if one and typed is not None else _COMMANDS:
        module = import_module(f"cornerman.cli.{_COMMANDS[name]}")
        group = getattr(module, "app", None)
        if group is None:
            app.command(name)(getattr(module, name))
        else:
            app.add_typer(group)


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
            _load(arguments)
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
    # Looking for garbage while modules are imported finds none, and takes a tenth of the time.
    gc.set_threshold(_RARELY)
    # A user's own agent and evaluators lie where the command is typed. Last on the path, so that
    # a file there can shadow nothing; the allow-list still decides what is imported.
    with contextlib.suppress(OSError):  # the folder may be gone
        sys.path.append(str(Path.cwd()))
    leave_process(run(sys.argv[1:]))
