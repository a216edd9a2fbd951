"""`cornerman dataset`: cases from other tools' files, and what is wrong with a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cornerman.cli.output import FAILED, Out
from cornerman.cli.store import JsonOption, command_group
from cornerman.domain.errors import BadInputError, NotFoundError
from cornerman.domain.texts import counted

if TYPE_CHECKING:
    from cornerman.domain.datasets import DatasetOptions
    from cornerman.domain.datasets.check import Checked

app = command_group("dataset", "Cases from other tools' files, and what is wrong with a dataset.")


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="What the tool wrote; .gz may follow.")],
    source: Annotated[
        str, typer.Option("--from", help="openai, langfuse, otel, promptfoo or inspect.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Write the cases there, as JSONL.")
    ],
    force: Annotated[bool, typer.Option("--force", help="Replace the output file.")] = False,
    json: JsonOption = False,
) -> None:
    """Make cases of the file of another tool; what cannot be taken is said and counted.

    The cases are a `dataset.path` as they are. `promptfoo`: its config, or a file of tests.
    """
    from cornerman.cli.case_files import require_jsonl, write_cases
    from cornerman.domain.datasets.importers import import_file as import_cases

    out = Out(json)
    require_jsonl(output)
    if output.exists() and not force:
        raise BadInputError(
            f"{output} is there already.", field="output", hint="Replace it with --force."
        )
    made = import_cases(file.expanduser(), source)
    write_cases(output, made.cases)
    out.document(
        {
            "file": str(file),
            "from": source,
            "output": str(output),
            "records": made.records,
            "cases": len(made.cases),
            "skipped": dict(made.skipped),
            "notes": [*made.skipped_words(), *made.notes],
            "prompts": made.prompts,
        }
    )
    out.say(f"{counted(len(made.cases), 'case')} in {output}.", style="bold")
    for line in made.skipped_words():
        out.say(line, style="yellow")
    for line in made.notes:
        out.say(line)
    if made.prompts and not json:
        out.say(f"{counted(len(made.prompts), 'prompt')} stood beside them:")
        for prompt in made.prompts[:_PROMPTS]:
            out.say(f"  {prompt[:500]}")
    out.say(f"Look at it with: cornerman dataset check {output}")


@app.command("check")
def check(
    file: Annotated[str, typer.Argument(help="A dataset's file, or a SPEC that names one.")],
    inputs: Annotated[
        str | None, typer.Option("--inputs", help="Columns of a file, with commas between.")
    ] = None,
    expected: Annotated[
        str | None, typer.Option("--expected", help="A file's column of expected outputs.")
    ] = None,
    messages: Annotated[
        str | None, typer.Option("--messages", help="A file's column of conversations.")
    ] = None,
    gain: Annotated[
        float | None,
        typer.Option("--gain", min=0.001, max=1, help="Say how many cases show it, such as 0.05."),
    ] = None,
    json: JsonOption = False,
) -> int:
    """Say what is wrong with a dataset, and what it can show; exit code 1 where it has faults.

    Duplicates, contradictions, leaks between splits, labels and their balance, splits that are too
    small, and how many cases a difference takes to be seen.
    """
    from cornerman.domain.datasets.check import GAINS, check_cases
    from cornerman.domain.datasets.content import as_file
    from cornerman.domain.datasets.load import load_cases

    out = Out(json)
    given = {"inputs": inputs, "expected": expected, "messages": messages}
    options, max_cases = _dataset(file, {k: v for k, v in given.items() if v is not None})
    with as_file():
        cases = load_cases(options, max_cases=max_cases)
    found = check_cases(cases, options.split, [*GAINS, *([gain] if gain else [])])
    out.document({"file": file, **found.as_dict()})
    _say(out, found)
    return FAILED if found.faults else 0


def _dataset(file: str, columns: dict[str, str]) -> tuple[DatasetOptions, int | None]:
    """The dataset that a file is, or that a spec names, with the spec's max_cases."""
    from cornerman.domain.datasets import DatasetOptions
    from cornerman.domain.training.parse import parse_spec_cases

    spec = _spec_in(file)
    if spec is not None and columns:
        raise BadInputError(
            f"--{next(iter(columns))} is for a dataset's file; {file} is a spec, which names its "
            "columns in dataset.columns.",
            field="file",
        )
    if spec is not None:
        return parse_spec_cases(spec)
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        raise NotFoundError(
            f"There is no file {file!r}.", field="file", hint="Give a dataset's file, or a SPEC."
        )
    wanted: dict[str, Any] = {"path": str(path)}
    if columns:
        named: dict[str, Any] = {}
        if "inputs" in columns:
            named["inputs"] = [name.strip() for name in columns["inputs"].split(",")]
        if "expected" in columns:
            named["expected_output"] = columns["expected"] or None
        if "messages" in columns:
            named["messages"] = columns["messages"]
        wanted["columns"] = named
    return DatasetOptions.model_validate(wanted), None


def _spec_in(file: str) -> Mapping[str, Any] | None:
    """The spec that the argument names; None where it is a dataset's file."""
    from cornerman.cli.files import read_document

    if Path(file).suffix.lower() not in (".yaml", ".yml", ".json") and file != "-":
        return None
    document = read_document(file)
    if isinstance(document, Mapping) and "dataset" in document:
        return document
    if Path(file).suffix.lower() == ".json":
        return None
    raise BadInputError(
        f"{file} is no spec with a dataset; a workflow's file is trained on battles, which are no "
        "dataset of its own.",
        field="file",
        hint="Give a spec as for cornerman train, or a dataset's file.",
    )


def _say(out: Out, found: Checked) -> None:
    splits = ", ".join(f"{name} {count}" for name, count in found.splits.items())
    out.say(f"{counted(found.cases, 'case')}: {splits}.", style="bold")
    for finding in found.findings:
        style = "red" if finding.level == "fault" else "yellow"
        out.say(f"{finding.level}: {finding.message}.".replace("..", "."), style=style)
    if not found.findings:
        out.say("Nothing is wrong with them.", style="green")
    if found.labels:
        rows = [(label, *counts.values()) for label, counts in found.labels.items()]
        out.table(("expected output", "cases", "train", "validation", "test"), rows[:_ROWS])
        if len(rows) > _ROWS:
            out.say(f"and {len(rows) - _ROWS} more labels; all of them with --json")
    held = found.precision
    if held["interval_points"] is not None:
        out.say(
            f"With {held['test_cases']} test cases the 95% interval of a score of 50% spans "
            f"{held['interval_points']:g} points. To see a gain between two prompts takes:"
        )
    out.table(
        ("gain", "test cases", "in 3 of 4 runs", "5% get worse", "whole dataset", "enough"),
        [
            (f"{row['gain']:.1%}", *(row[name] for name in _PRECISION), row["enough"])
            for row in held["gains"]
        ],
    )


_ROWS = 30
_PROMPTS = 3
_PRECISION = ("cases", "likely", "with_losses", "dataset")
