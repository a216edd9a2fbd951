"""How a command fails: an exit code, a message and what mends it; never a traceback."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import typer

from cornerman.cli.output import Out
from cornerman.domain.errors import CornermanError

FAILED = 1
BAD_INPUT = 2
STOPPED = 3


@dataclass(frozen=True)
class Failure:
    """What is said about an error.

    Args:
        facts: More fields of the document, such as `run_id`.
    """

    code: str
    message: str
    hint: str
    exit_code: int
    facts: dict[str, Any] = field(default_factory=dict[str, Any])

    def as_dict(self) -> dict[str, Any]:
        return {"error": self.code, "message": self.message, "hint": self.hint, **self.facts}


class CommandError(Exception):
    """A failure that knows more than its error, such as the run that it belongs to."""

    def __init__(self, error: BaseException, *, hint: str = "", **facts: Any) -> None:
        super().__init__(str(error))
        self.error = error
        self.hint = hint
        self.facts = facts


def failure_of(error: BaseException) -> Failure:
    """Word an error for people and programs."""
    if isinstance(error, CommandError):
        inner = failure_of(error.error)
        facts = inner.facts | error.facts
        hint = inner.hint or error.hint
        if "run_id" in facts:
            hint = hint.replace("RUN_ID", str(facts["run_id"]))
        return Failure(inner.code, inner.message, hint, inner.exit_code, facts)
    if isinstance(error, CornermanError):
        fields = {"field": error.__dict__["field"]} if error.__dict__.get("field") else {}
        return Failure(error.code, error.message, error.hint, error.exit_code, fields)
    if isinstance(error, (typer.Abort, KeyboardInterrupt, asyncio.CancelledError)):
        return Failure("interrupted", "Interrupted.", "", FAILED)
    if _is_usage_error(error):
        return _of_usage(error)
    return _unexpected(error)


def _is_usage_error(error: BaseException) -> bool:
    # Typer brings its own copy of click, under a private name; these two mark its errors.
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def _of_usage(error: Any) -> Failure:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "cornerman"
    return Failure("usage", error.format_message(), f"Type: {command} --help", BAD_INPUT)


def _unexpected(error: BaseException) -> Failure:
    first = next(iter(str(error).strip().splitlines()), "")
    if type(error).__module__.startswith(("sqlalchemy", "psycopg", "sqlite3")):
        cause = str(getattr(error, "orig", None) or first).strip().splitlines()[0]
        message = f"The database could not do that: {cause}"
        return Failure("storage", message, "Check it with: cornerman doctor", FAILED)
    if isinstance(error, OSError) and error.filename:
        message = f"{error.filename}: {error.strerror}"
        return Failure("file", message, "Check the path and who may read or write it.", FAILED)
    message = f"{type(error).__name__}: {first}" if first else type(error).__name__
    hint = "This is a fault of Cornerman's. Type the command again with --debug for the details."
    return Failure("internal", message, hint, FAILED)


def report_failure(error: BaseException, out: Out) -> int:
    """Print a failure where its reader looks; return the exit code."""
    failure = failure_of(error)
    if out.as_json:
        out.document(failure.as_dict())
    else:
        out.progress.print(f"Error: {failure.message}", style="bold red")
        if failure.hint:
            out.progress.print(failure.hint)
        if "run_id" in failure.facts and failure.facts["run_id"] not in failure.hint:
            out.progress.print(f"Run: {failure.facts['run_id']}")
    return failure.exit_code
