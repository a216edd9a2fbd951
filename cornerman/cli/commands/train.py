"""Which training run `cornerman train` is asked for: a new one, or one to continue.

`cornerman train`: one training run, watched while it works.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cornerman.cli.after_training import say_next
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
from cornerman.cli.output import Out, score_text, usd
from cornerman.cli.store import JsonOption, database, find_run
from cornerman.domain.errors import BadInputError, CornermanError

if TYPE_CHECKING:
    from cornerman.domain.runs import Run
    from cornerman.domain.training import TrainParameters
    from cornerman.settings import Settings


# What may change when a run goes on: when it ends, and how much it does at once.
CHANGEABLE = (
    "epochs",
    "patience",
    "target_score",
    "max_cost_usd",
    "max_seconds",
    "max_concurrency",
)


def new_run(spec: str, run_id: str | None) -> TrainParameters:
    """The parameters of a new run.

    Raises:
        BadInputError: The spec cannot be run.
    """
    return checked_run(read_spec(spec), run_id or f"train-{uuid.uuid4().hex[:12]}")


def continued_run(run: Run, spec: str | None) -> TrainParameters:
    """The parameters that a stored run goes on with.

    Args:
        spec: A spec whose stops replace the stored ones; None to change nothing.

    Raises:
        BadInputError: It is no training run, another workflow's or request's spec was given, or
            the request held secrets, which are not stored.
    """
    if run.kind != "train":
        raise BadInputError(
            f"Run {run.id!r} is a {run.kind} run; only training runs can be resumed.",
            field="run_id",
            hint="Type: cornerman runs list --kind train",
        )
    from cornerman.domain.training.parse import public_request

    stored = {key: value for key, value in run.request.items() if key != "dataset_fingerprint"}
    if spec is None:
        refuse_masked(run.id, stored, "train")
        return checked_run(stored, run.id)
    payload = read_spec(spec)
    if not payload.get("prompts") and not (payload.get("runnable_config") or {}).get("prompts"):
        payload["prompts"] = stored["prompts"]
    parameters = checked_run(payload, run.id)
    given = public_request(parameters, parameters.starting_prompts or {})
    refuse_other_request(run.id, stored, given, CHANGEABLE, "train")
    return parameters


def checked_run(payload: dict[str, Any], run_id: str) -> TrainParameters:
    """The parameters of a run by a spec's content.

    Raises:
        BadInputError: It cannot be run.
    """
    from pydantic import ValidationError

    from cornerman.domain.training import TrainParameters
    from cornerman.domain.training.parse import bad_input, parse_train_spec

    spec = parse_train_spec(payload, source="cli")
    try:
        return TrainParameters.model_validate({**dict(spec), "run_id": run_id})
    except ValidationError as error:
        raise bad_input(error, TrainParameters) from error


# What the document holds, in this order; the rest of a result is in `cornerman runs show`.
_DOCUMENT = (
    "run_id",
    "workflow_id",
    "status",
    "stopped_by",
    "cost_usd",
    "max_concurrency",
    "seed_score",
    "best_checkpoint",
    "checkpoints",
    "test_score",
    "cases",
    "model_calls",
    # Beyond what is promised.
    "requested_concurrency",
    "validation_score",
    "seed_test_score",
    "improvement",
    "dataset",
    "judge",
    "simulated",
)


def train(
    spec: Annotated[
        str | None, typer.Argument(help="A YAML or JSON file; - is standard input.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="RUN_ID", help="Continue this run.")
    ] = None,
    run_id: Annotated[
        str | None, typer.Option("--run-id", help="Id of the new run; default: a fresh one.")
    ] = None,
    json: JsonOption = False,
) -> int:
    """Train a workflow's prompts, as SPEC says.

    With --resume a run goes on where it was and pays for nothing twice; SPEC may then be left
    out, or change the stops.
    """
    out = Out(json)
    parameters = _parameters(spec, resume, run_id)
    result = asyncio.run(run_training(parameters, out))
    return _finish(out, result)


def _parameters(spec: str | None, resume: str | None, run_id: str | None) -> TrainParameters:
    if spec is None and resume is None:
        raise BadInputError(
            "SPEC or --resume RUN_ID is needed.",
            field="spec",
            hint="Type: cornerman train SPEC, such as cornerman/examples/quickstart.yaml",
        )
    refuse_both_ids(resume, run_id)
    if resume is None:
        assert spec is not None
        parameters = new_run(spec, run_id)
        refuse_known(run_id, "train")
        return parameters
    with database() as db:
        run = find_run(db, resume)
    return continued_run(run, spec)


async def run_training(parameters: TrainParameters, out: Out) -> dict[str, Any]:
    """Run the flow, showing its progress.

    Raises:
        CommandError: It failed; knows the run.
    """
    # First of all: the server starts while this process imports what it needs.
    from cornerman.flows.plumbing.embedded_client import begin_early

    begin_early()
    from cornerman.cli.progress import TrainingView, follow
    from cornerman.domain.datasets.load import load_cases, split_cases
    from cornerman.settings import get_settings

    # Read once more by the flow; here it refuses a bad file before seconds of starting up.
    cases = load_cases(parameters.dataset, max_cases=parameters.max_cases)
    split = split_cases(cases, parameters.dataset.split)
    optimizer = parameters.optimizer
    _say_start(out, parameters, len(cases), get_settings())
    view = TrainingView(
        out.progress,
        epochs=optimizer.epochs,
        first_epoch_cases=len({c.id for c in (*split.train, *split.validation)})
        * optimizer.repeats,
        test_cases=len(split.test) * optimizer.repeats,
        budget_usd=optimizer.max_cost_usd,
    )
    with database() as db, view.bars:
        from cornerman.flows.train import train_workflow

        run_id = str(parameters.run_id)
        try:
            return await follow(db, run_id, view, train_workflow(parameters))
        except CornermanError as error:
            raise of_run(error, run_id, "train") from error


def _say_start(out: Out, parameters: TrainParameters, cases: int, settings: Settings) -> None:
    optimizer = parameters.optimizer
    out.note(
        f"Run {parameters.run_id} trains {parameters.workflow_id}: {cases} cases, "
        f"{optimizer.epochs} epochs, {optimizer.strategy}.",
        style=None,
    )
    say_limits(out, optimizer, settings)


def training_document(result: dict[str, Any]) -> dict[str, Any]:
    """What `train --json` prints; `demonstrations` where the best prompts have some."""
    shown = {name: result.get(name) for name in _DOCUMENT}
    demos = result.get("demonstrations")
    return shown if demos is None else shown | {"demonstrations": demos}


def _finish(out: Out, result: dict[str, Any]) -> int:
    refuse_cancelled(result, "train")
    out.document(training_document(result))
    say_result(out, result)
    return exit_code(result["status"])


def say_result(out: Out, result: dict[str, Any]) -> None:
    """A training run's end in a few lines."""
    best, cases = result["best_checkpoint"], result["cases"]
    stopped = f", stopped by {result['stopped_by']}" if result["stopped_by"] else ""
    simulated = " (simulated)" if result["simulated"] else ""
    out.say(f"Run {result['run_id']}: {result['status']}{stopped}{simulated}", style="bold")
    if result["dataset"]["note"]:
        out.say(f"Note: {result['dataset']['note']}", style="yellow")
    for note in result.get("notes") or ():
        out.note(note)
    if judge := result.get("judge"):
        out.say(f"  Judge        {judge_words(judge)}")
    out.say(f"  Test before  {score_text(result['seed_test_score'])}")
    out.say(f"  Test after   {score_text(result['test_score'])}")
    out.say(f"  Validation   {_change(result['seed_score'], result['validation_score'])}")
    out.say(f"  Best         {_best_words(best)}")
    out.say(
        f"  Cases        {cases['scored']} scored, {cases['timed_out']} timed out, "
        f"{cases['errored']} errored"
    )
    if ends := result.get("finish_reasons"):
        out.say(f"  Answers      {answers_words(ends)}", style="yellow")
    out.say(f"  Cost         {usd(result['cost_usd'])} for {result['model_calls']} model calls")
    if not out.as_json:
        say_next(out, result)
    if result["status"] == "stopped":
        out.say(f"Continue it with: cornerman train --resume {result['run_id']}")


def judge_words(judge: dict[str, Any]) -> str:
    """What was measured of a run's judge, in one line."""
    kappa = judge["kappa"]
    value, low, high = (kappa[name] for name in ("value", "low", "high"))
    if value is None:
        return f"kappa not known on {judge['scored']} labelled cases"
    reach = f"95% interval {low:.2f} to {high:.2f}"
    return f"kappa {value:.2f} with people ({reach}, n = {kappa['n']})"


def _change(before: float | None, after: float | None) -> str:
    texts = ("-" if score is None else f"{score:.1%}" for score in (before, after))
    return " -> ".join(texts)


def _best_words(best: dict[str, Any] | None) -> str:
    if best is None:
        return "no checkpoint was stored"
    return f"checkpoint {best['id'][:8]}, version {best['config_version']}"
