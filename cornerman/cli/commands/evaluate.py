"""`cornerman evaluate`: prompts, checkpoints and models on the same cases, against a bar.

How an evaluation is told: one table, and where the bar is not met.
"""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cornerman.cli.case_runs import (
    answers_words,
    exit_code,
    of_run,
    refuse_both_ids,
    refuse_cancelled,
    refuse_known,
    refuse_masked,
    refuse_other_request,
    say_limits,
)
from cornerman.cli.files import read_spec
from cornerman.cli.output import FAILED, Out, usd
from cornerman.cli.store import JsonOption, database, find_run
from cornerman.domain.errors import BadInputError, CornermanError

if TYPE_CHECKING:
    from cornerman.domain.runs import Run
    from cornerman.domain.training.evaluation import EvaluateParameters
    from cornerman.settings import Settings

# What may change when a run goes on; the bar of --min-score may too.
CHANGEABLE = ("max_cost_usd", "max_seconds", "max_concurrency")
# What the document holds, in this order; the rest of a result is in `cornerman runs show`.
_DOCUMENT = (
    "run_id",
    "status",
    "columns",
    "comparisons",
    "passed",
    # Beyond what is promised.
    "workflow_id",
    "stopped_by",
    "failures",
    "cost_usd",
    "model_calls",
    "cases",
    "split",
    "notes",
    "simulated",
)


def evaluate(
    spec: Annotated[
        str | None, typer.Argument(help="A YAML or JSON file, as train takes it; - is stdin.")
    ] = None,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            "--checkpoint",
            metavar="ID|best|spec",
            help="Score these prompts; may be given again. Default: SPEC's own, else the best's.",
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="Score with this model; may be given again."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option("--split", metavar="train|validation|test|all", help="Which cases; all."),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option("--min-score", metavar="X", help="Exit 1 when a mean is below X, 0 to 1."),
    ] = None,
    not_worse_than: Annotated[
        str | None,
        typer.Option(
            "--not-worse-than",
            metavar="best|ID",
            help="Exit 1 when the paired 95% interval against this checkpoint lies below 0.",
        ),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML there.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="RUN_ID", help="Continue this run.")
    ] = None,
    run_id: Annotated[
        str | None, typer.Option("--run-id", help="Id of the new run; default: a fresh one.")
    ] = None,
    json: JsonOption = False,
) -> int:
    """Score prompts on SPEC's cases without rewriting them, and compare them in pairs.

    Exit code 1: the bar is not met; 3: stopped by budget or kill-switch.
    """
    out = Out(json)
    asked: dict[str, Any] = {
        "checkpoints": checkpoint or None,
        "models": model or None,
        "split": split,
        "min_score": min_score,
        "not_worse_than": not_worse_than,
    }
    asked = {name: value for name, value in asked.items() if value is not None}
    _refuse_unwritable(junit)
    parameters = _parameters(spec, resume, run_id, asked)
    try:
        result = asyncio.run(run_evaluation(parameters, out))
        refuse_cancelled(result, "evaluate")
    finally:
        if junit is not None:
            _write_junit(junit, str(parameters.run_id))
    out.document(evaluation_document(result))
    say_evaluation(out, result)
    return verdict_code(result)


def _parameters(
    spec: str | None, resume: str | None, run_id: str | None, asked: dict[str, Any]
) -> EvaluateParameters:
    if spec is None and resume is None:
        raise BadInputError(
            "SPEC or --resume RUN_ID is needed.",
            field="spec",
            hint="Type: cornerman evaluate SPEC, such as cornerman/examples/quickstart.yaml",
        )
    refuse_both_ids(resume, run_id)
    if resume is None:
        assert spec is not None
        parameters = new_evaluation(spec, run_id, asked)
        refuse_known(run_id, "evaluate")
        return parameters
    with database() as db:
        run = find_run(db, resume)
    return continued_evaluation(run, spec, asked)


def new_evaluation(spec: str, run_id: str | None, asked: dict[str, Any]) -> EvaluateParameters:
    """The parameters of a new run.

    Args:
        asked: Fields beside the spec's, which the command's options gave.

    Raises:
        BadInputError: It cannot be run.
    """
    return _checked(
        read_spec(spec, own_prompts=True) | asked, run_id or f"evaluate-{uuid.uuid4().hex[:12]}"
    )


def continued_evaluation(run: Run, spec: str | None, asked: dict[str, Any]) -> EvaluateParameters:
    """The parameters that a stored run goes on with.

    Args:
        spec: A spec whose stops replace the stored ones; None to change nothing.
        asked: Fields that options gave; what they leave out stays as it was.

    Raises:
        BadInputError: It is no evaluation, another request was given, or the request held
            secrets, which are not stored.
    """
    from cornerman.domain.training.evaluation import LIMITS
    from cornerman.domain.training.parse import public_request

    if run.kind != "evaluate":
        raise BadInputError(
            f"Run {run.id!r} is a {run.kind} run; only evaluations can be resumed here.",
            field="run_id",
            hint=f"Type: cornerman train --resume {run.id}"
            if run.kind == "train"
            else "Type: cornerman runs list --kind evaluate",
        )
    beside = ("dataset_fingerprint", "columns")
    stored = {key: value for key, value in run.request.items() if key not in beside}
    kept = {name: stored[name] for name in _ASKED if stored.get(name) is not None} | asked
    if not stored.get("prompts"):
        stored.pop("prompts", None)
    if spec is None:
        refuse_masked(run.id, stored, "evaluate")
        parameters = _checked(stored | kept, run.id)
    else:
        parameters = _checked(read_spec(spec, own_prompts=True) | kept, run.id)
    given = public_request(parameters, parameters.starting_prompts or {})
    given["optimizer"] = {name: given["optimizer"][name] for name in LIMITS}
    for held in (given, stored):
        held.pop("min_score", None)
        if not held.get("prompts"):
            held.pop("prompts", None)
    refuse_other_request(run.id, stored, given, CHANGEABLE, "evaluate")
    return parameters


_ASKED = ("checkpoints", "models", "split", "min_score", "not_worse_than")


def _checked(payload: dict[str, Any], run_id: str) -> EvaluateParameters:
    from cornerman.domain.training.parse import parse_evaluate_spec

    return parse_evaluate_spec(payload | {"run_id": run_id}, source="cli")


async def run_evaluation(parameters: EvaluateParameters, out: Out) -> dict[str, Any]:
    """Run the flow, showing its progress.

    Raises:
        CommandError: It failed; knows the run.
    """
    # First of all: the server starts while this process imports what it needs.
    from cornerman.flows.plumbing.embedded_client import begin_early

    begin_early()
    from cornerman.cli.progress import EvaluationView, follow
    from cornerman.domain.datasets.load import load_cases, split_cases
    from cornerman.domain.training.evaluation import evaluated_cases
    from cornerman.settings import get_settings
    from cornerman.storage.runs import read_run

    # Read once more by the flow; here it refuses what is bad before seconds of starting up.
    cases = load_cases(parameters.dataset, max_cases=parameters.max_cases)
    chosen = evaluated_cases(split_cases(cases, parameters.dataset.split), parameters.split)
    run_id, settings = str(parameters.run_id), get_settings()
    with database() as db:
        from cornerman.flows.evaluate import evaluate_workflow
        from cornerman.flows.evaluate_prepare import read_columns

        known = await db.read(read_run, run_id)
        columns, _ = await db.read(read_columns, parameters, settings, known)
        _say_start(out, parameters, len(chosen), len(columns), settings)
        view = EvaluationView(
            out.progress,
            total=len(chosen) * len(columns) * parameters.optimizer.repeats,
            budget_usd=parameters.optimizer.max_cost_usd,
        )
        try:
            with view.bars:
                return await follow(db, run_id, view, evaluate_workflow(parameters))
        except CornermanError as error:
            raise of_run(error, run_id, "evaluate") from error


def _say_start(
    out: Out, parameters: EvaluateParameters, cases: int, columns: int, settings: Settings
) -> None:
    under = "" if columns == 1 else f" under each of {columns} columns"
    out.note(
        f"Run {parameters.run_id} evaluates {parameters.workflow_id}: {cases} cases{under}.",
        style=None,
    )
    say_limits(out, parameters.optimizer, settings)


def evaluation_document(result: dict[str, Any]) -> dict[str, Any]:
    """What `evaluate --json` prints."""
    return {name: result.get(name) for name in _DOCUMENT}


def verdict_code(result: dict[str, Any]) -> int:
    """The exit code: 1 below the bar, 3 when it was stopped before it could be judged."""
    code = exit_code(result["status"])
    return FAILED if code == 0 and not result["passed"] else code


def say_evaluation(out: Out, result: dict[str, Any]) -> None:
    """An evaluation's end: one table, then whether the bar is met."""
    if out.as_json:
        return
    stopped = f", stopped by {result['stopped_by']}" if result["stopped_by"] else ""
    simulated = " (simulated)" if result["simulated"] else ""
    out.say(f"Run {result['run_id']}: {result['status']}{stopped}{simulated}", style="bold")
    out.table(
        ("prompts", "model", "score", "95% interval", "n", "change, paired", "against", "cost"),
        [_row(line, result) for line in result["columns"]],
    )
    for note in result.get("notes") or ():
        out.note(note)
    if ends := result.get("finish_reasons"):
        out.say(f"Answers: {answers_words(ends)}", style="yellow")
    cases = result["cases"]
    out.say(
        f"{cases['scored']} scored, {cases['timed_out']} timed out, {cases['errored']} errored; "
        f"{usd(result['cost_usd'])} for {result['model_calls']} model calls"
    )
    _say_verdict(out, result)
    run_id = result["run_id"]
    which = "The cases on which they differ" if len(result["columns"]) > 1 else "Its cases"
    out.say(f"{which}: cornerman report {run_id} -o {run_id}.html")
    if result["status"] == "stopped":
        out.say(f"Continue it with: cornerman evaluate --resume {run_id}")


def _row(line: dict[str, Any], result: dict[str, Any]) -> tuple[Any, ...]:
    score = line["score"]
    change, against = _change(line, result)
    return (
        _prompts_words(line),
        line["model"],
        None if score["value"] is None else f"{score['value']:.3f}",
        None if score["low"] is None else f"{score['low']:.3f} to {score['high']:.3f}",
        score["n"],
        change,
        against,
        usd(line["cost_usd"]),
    )


def _prompts_words(line: dict[str, Any]) -> str:
    if line["checkpoint"] is None:
        return "spec"
    version = "" if line["config_version"] is None else f", version {line['config_version']}"
    return f"{line['checkpoint'][:8]}{version}"


def _change(line: dict[str, Any], result: dict[str, Any]) -> tuple[str | None, str | None]:
    """The change from what the column must not be worse than, else from the first column."""
    first = result["columns"][0]
    other = next((one for one in result["columns"] if one["id"] == line["against"]), first)
    pair = tuple({"model": one["model"], "checkpoint": one["checkpoint"]} for one in (other, line))
    found = (one for one in result["comparisons"] if (one["before"], one["after"]) == pair)
    one = next(found, None)
    if one is None or one["mean"] is None:
        return None, None
    return f"{one['mean']:+.3f} ({one['low']:+.3f} to {one['high']:+.3f})", other["name"]


def _say_verdict(out: Out, result: dict[str, Any]) -> None:
    if result["min_score"] is None and result["not_worse_than"] is None:
        return
    if result["status"] != "completed":
        out.say("The bar was not judged: not every case was scored.", style="yellow")
    elif result["passed"]:
        out.say("Passed.", style="bold green")
    else:
        out.say("Not passed:", style="bold red")
    for text in result["failures"]:
        out.say(f"  {text}")


def _refuse_unwritable(path: Path | None) -> None:
    """Refuse a file that could not be written, before anything is paid for.

    Raises:
        BadInputError: Its folder is not there, or it is a folder itself.
    """
    if path is None:
        return
    if path.is_dir() or not path.resolve().parent.is_dir():
        what = "is a folder" if path.is_dir() else "stands in no folder that is there"
        raise BadInputError(
            f"--junit: {str(path)!r} {what}.", field="junit", hint="Name a file: --junit junit.xml"
        )


def _write_junit(path: Path, run_id: str) -> None:
    """Write what the run has, however it ended; nothing where it did not begin."""
    from cornerman.storage.runs import read_run

    with database() as db, db.reading() as session:
        run = read_run(session, run_id)
        if run is None:
            return
        from cornerman.report.junit import junit_xml
        from cornerman.tasks.report_evaluation import evaluation_section

        text = junit_xml(evaluation_section(session, run, traced=False))
    path.write_text(text, encoding="utf-8")
