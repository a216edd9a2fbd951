"""Makes cases of the files that other tools write, one module a tool."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from cornerman.domain.datasets.content import as_file, ending_of
from cornerman.domain.datasets.importers import inspect_logs, langfuse, openai, otel, promptfoo
from cornerman.domain.datasets.importers.made import Made
from cornerman.domain.errors import BadInputError, NotFoundError

_Importer = tuple[Callable[[Path], Made], Sequence[str]]
_IMPORTERS: dict[str, _Importer] = {
    "openai": (openai.import_openai, openai.ENDINGS),
    "langfuse": (langfuse.import_langfuse, langfuse.ENDINGS),
    "otel": (otel.import_otel, otel.ENDINGS),
    "promptfoo": (promptfoo.import_promptfoo, promptfoo.ENDINGS),
    "inspect": (inspect_logs.import_inspect, inspect_logs.ENDINGS),
}
SOURCES = tuple(_IMPORTERS)


def import_file(path: Path, source: str) -> Made:
    """Return the cases that another tool's file comes to, and an account of what does not.

    Args:
        path: Of the tool's own form; `.gz` may follow its ending.
        source: One of SOURCES.

    Raises:
        NotFoundError: There is no such file.
        BadInputError: The source is not known, the file is not of its form, or it makes no case.
    """
    if source not in _IMPORTERS:
        raise BadInputError(
            f"--from is {source!r}; it must be one of {', '.join(SOURCES)}.", field="from"
        )
    importer, endings = _IMPORTERS[source]
    if not path.is_file():
        raise NotFoundError(f"There is no file {path}.", field="file")
    ending, _ = ending_of(path)
    if ending not in endings:
        raise BadInputError(
            f"{path.name} ends in {ending or 'nothing'!r}; a file of {source} ends in "
            f"{', '.join(endings)}.",
            field="file",
        )
    with as_file():
        made = importer(path).finish()
    if not made.cases:
        reasons = "; ".join(made.skipped_words()) or "it holds no records"
        raise BadInputError(f"{path.name} makes no case: {reasons}.", field="file")
    return made
