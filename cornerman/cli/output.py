"""How a command fails: an exit code, a message and what mends it; never a traceback.

What commands print: text for people, or one JSON document for programs.

With `--json` standard output carries the document and nothing else, so everything else that is
printed meanwhile, by users' agents too, goes to standard error.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Generator, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TextIO

import typer
from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from cornerman.domain.errors import CornermanError
from cornerman.domain.texts import visible

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


# Piped text must not be cut to the 80 columns of a terminal that is not there.
_PIPED_WIDTH = 200

_document_stream: ContextVar[TextIO | None] = ContextVar("document_stream", default=None)


@contextlib.contextmanager
def documents_only(active: bool) -> Generator[None]:
    """Keep standard output for the document while the block lasts, if `active`."""
    if not active:
        yield
        return
    with contextlib.ExitStack() as stack:
        stream = sys.stdout
        if stream is not None and stream is sys.__stdout__:
            stream = stack.enter_context(_kept_from_children())
        token = _document_stream.set(stream)
        stack.callback(_document_stream.reset, token)
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        yield


@contextlib.contextmanager
def _kept_from_children() -> Generator[TextIO]:
    """This process's standard output, which what it starts meanwhile does not inherit.

    An agent may run programs that print, or libraries that do so behind Python's back.
    """
    sys.stdout.flush()
    stream = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        yield stream
    finally:
        os.dup2(stream.fileno(), 1)
        # Whoever read us may have seen enough.
        with contextlib.suppress(BrokenPipeError):
            stream.close()


class _SafeConsole(Console):
    """Prints what it is given as text, whoever wrote it; only Rich's own codes reach a terminal.

    Here, because everything that is printed comes through here: texts, tables and bars.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(visible(text), style)


def make_console(stream: TextIO) -> Console:
    """A console that leaves brackets, numbers and emoji codes in people's texts alone."""
    piped = not stream.isatty() and "COLUMNS" not in os.environ
    return _SafeConsole(
        file=stream,
        width=_PIPED_WIDTH if piped else None,
        markup=False,
        highlight=False,
        emoji=False,
        # Narrow text is wrapped by the terminal, so that long words can be copied whole.
        soft_wrap=True,
    )


class Out:
    """Where one command prints.

    Args:
        as_json: One JSON document is wanted.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.text = make_console(sys.stderr if as_json else sys.stdout)
        self.progress = make_console(sys.stderr)

    def document(self, document: Any) -> None:
        """Print the JSON document, if one is wanted."""
        if not self.as_json:
            return
        stream = _document_stream.get() or sys.stdout
        # ASCII, so that no locale of the reader's can break it.
        stream.write(json.dumps(document, indent=2, default=str) + "\n")
        stream.flush()

    def say(self, *parts: Any, style: str | None = None) -> None:
        """Print for people; nothing when a document is wanted."""
        if not self.as_json:
            self.text.print(*parts, style=style)

    def data(self, text: str) -> None:
        """Print a file's content: as it is for programs, harmless where a person looks at it."""
        self.text.file.write(visible(text) if self.text.is_terminal else text)

    def note(self, text: str, style: str | None = "yellow") -> None:
        """Print a remark beside the result, on standard error."""
        self.progress.print(text, style=style)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Print a table for people."""
        if self.as_json:
            return
        table = Table(box=box.SIMPLE, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*map(_cell, row))
        self.text.print(table, soft_wrap=False)


def _cell(value: Any) -> Text | str:
    # Here, before widths are measured.
    return value if isinstance(value, Text) else visible(shown(value))


def shown(value: Any) -> str:
    """A value as a table's cell."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def usd(value: float | None) -> str:
    """Money for people: the smaller it is, the more digits."""
    if value is None:
        return "-"
    digits = 2 if value >= 1 or value == 0 else 4 if value >= 0.01 else 6
    return f"${value:.{digits}f}"


def score_text(score: dict[str, Any] | None, *, percent: bool = True) -> str:
    """A `{value, low, high, n}` in words."""
    if not score or score.get("value") is None:
        return "not known"
    scale, unit = (100, "%") if percent else (1, "")
    value, low, high = (score[key] for key in ("value", "low", "high"))
    text = f"{value * scale:.1f}{unit}"
    if low is not None and high is not None:
        text += f" (95% interval {low * scale:.1f} to {high * scale:.1f}, n = {score['n']})"
    return text
