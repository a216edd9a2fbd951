"""`cornerman judge`: may a judge be relied on?"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cornerman.cli.files import read_spec
from cornerman.cli.output import FAILED, STOPPED, CommandError, Out, score_text, usd
from cornerman.cli.store import JsonOption, command_group, database
from cornerman.cli.workflow_files import workflow_id_of
from cornerman.domain.errors import BadInputError, RunCancelledError

if TYPE_CHECKING:
    from cornerman.domain.battles.workflows import Workflow
    from cornerman.domain.judges import JudgeOptions, LabelColumns
    from cornerman.domain.training import EvaluatorOptions
    from cornerman.flows.judge_check import JudgeCheck

app = command_group("judge", "May a judge be relied on?")
_SHOWN = 10
_SHOWN_CHARS = 160


@app.callback()
def _group() -> None:  # pyright: ignore[reportUnusedFunction]
    """May a judge be relied on?"""


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="Labelled cases: JSON, JSONL or CSV.")],
    spec: Annotated[
        str | None, typer.Option("--spec", "-s", help="The training spec whose judge it is.")
    ] = None,
    evaluator: Annotated[
        str | None, typer.Option("--evaluator", "-e", help="Which of the spec's evaluators.")
    ] = None,
    rubric: Annotated[
        str | None, typer.Option("--rubric", help="Check an llm_judge with this rubric.")
    ] = None,
    referee: Annotated[
        str | None,
        typer.Option("--referee", help="Check the referee of this workflow, by id or file."),
    ] = None,
    scale: Annotated[
        str | None, typer.Option("--scale", help="What labels range over, such as 1-5.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="PART=NAME", help="Such as label=rating; repeatable."),
    ] = None,
    min_kappa: Annotated[
        float | None, typer.Option("--min-kappa", min=-1, max=1, help="Fail under this kappa.")
    ] = None,
    max_cost_usd: Annotated[
        float | None, typer.Option("--max-cost-usd", min=0, help="Never spend more.")
    ] = None,
    concurrency: Annotated[
        int, typer.Option("--concurrency", min=1, max=256, help="Cases at once.")
    ] = 8,
    limit: Annotated[
        int | None, typer.Option("--limit", min=2, help="Only the first so many cases.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Ask again about what is remembered.")
    ] = False,
    json: JsonOption = False,
) -> int:
    """Compare a judge with people's labels: agreement, kappa, bias, and where they differ."""
    out = Out(json)
    judge = _judge(out, spec, evaluator, rubric, referee)
    from cornerman.flows.judge_check import JudgeCheck

    asked = JudgeCheck(
        file=file,
        workflow_id=judge.workflow_id,
        evaluator=judge.evaluator,
        workflow=judge.workflow,
        # What the spec says of its own labels holds here too, unless said otherwise.
        scale=_scale(scale) or (judge.options and judge.options.scale),
        columns=_columns(column or []) or (judge.options and judge.options.columns),
        limit=limit,
        min_kappa=min_kappa,
        max_cost_usd=max_cost_usd,
        at_once=concurrency,
        fresh=fresh,
        run_id=f"judge-{uuid.uuid4().hex[:12]}",
    )
    return _finish(out, asyncio.run(_run(asked, out)))


@dataclass(frozen=True)
class _Judge:
    """Which judge is checked: an evaluator, or a workflow's referee.

    Args:
        options: The spec's `judge`, where it has one.
    """

    workflow_id: str
    evaluator: EvaluatorOptions | None = None
    workflow: Workflow | None = None
    options: JudgeOptions | None = None


def _judge(
    out: Out, spec: str | None, evaluator: str | None, rubric: str | None, referee: str | None
) -> _Judge:
    """The judge that the options name.

    Raises:
        BadInputError: They name none, or several.
    """
    given = [name for name, value in _named(spec, rubric, referee) if value is not None]
    if len(given) != 1:
        came = f"{' and '.join(given)} came" if given else "none came"
        raise BadInputError(
            f"One of --spec, --rubric and --referee says which judge is checked; {came}.",
            field="judge",
            hint="Such as: cornerman judge check FILE --spec SPEC",
        )
    if evaluator is not None and spec is None:
        raise BadInputError("--evaluator belongs to --spec.", field="evaluator")
    if referee is not None:
        from cornerman.flows.battle_workflow import read_battle_workflow

        workflow_id = workflow_id_of(referee, out)
        with database() as db, db.reading() as session:
            return _Judge(workflow_id, workflow=read_battle_workflow(session, workflow_id))
    from cornerman.domain.training import EvaluatorOptions

    if rubric is not None:
        config = {"rubric": rubric}
        made = {"id": "judge", "entrypoint": "llm_judge", "config": config}
        return _Judge("judge", EvaluatorOptions.model_validate(made))
    assert spec is not None
    return _of_spec(spec, evaluator)


def _named(*values: str | None) -> list[tuple[str, str | None]]:
    return list(zip(("--spec", "--rubric", "--referee"), values, strict=True))


def _of_spec(source: str, evaluator: str | None) -> _Judge:
    from pydantic_core import PydanticCustomError

    from cornerman.domain.battles.workflows import Workflow
    from cornerman.domain.datasets.load import load_cases
    from cornerman.domain.judges import JudgeOptions, judging_evaluator
    from cornerman.domain.training.parse import parse_train_spec
    from cornerman.tasks.battle_agent import SCORE

    spec = parse_train_spec(read_spec(source), source="cli")
    named = evaluator or (spec.judge.evaluator if spec.judge else None)
    try:
        found = judging_evaluator(
            JudgeOptions.model_validate({"calibration": "-", "evaluator": named}), spec.evaluators
        )
    except PydanticCustomError as error:
        message = error.message().replace("judge.evaluator", "--evaluator")
        raise BadInputError(f"--evaluator: {message}", field="evaluator") from None
    if found.entrypoint != SCORE:
        return _Judge(spec.workflow_id, found, options=spec.judge)
    # Training on battles is judged by the workflow's referee.
    case = load_cases(spec.dataset, max_cases=1)[0]
    workflow = Workflow.model_validate(case.inputs["workflow"])
    return _Judge(spec.workflow_id, workflow=workflow, options=spec.judge)


def _scale(text: str | None) -> str | None:
    from cornerman.domain.judges import parse_scale

    if text is not None:
        try:
            parse_scale(text)
        except ValueError as error:
            raise BadInputError(f"--scale: {error}", field="scale") from None
    return text


def _columns(given: Sequence[str]) -> LabelColumns | None:
    from cornerman.domain.judges import LabelColumns

    names, known = dict[str, str](), list(LabelColumns.model_fields)
    for text in given:
        part, mark, name = text.partition("=")
        if not mark or not name or part not in known:
            raise BadInputError(
                f"--column: {text!r} is not PART=NAME with a PART of {', '.join(known)}.",
                field="column",
                hint="Such as --column label=rating",
            )
        names[part] = name
    return LabelColumns.model_validate(names) if names else None


async def _run(asked: JudgeCheck, out: Out) -> dict[str, Any]:
    from cornerman.cli.progress import JudgeView, follow
    from cornerman.flows.judge_check import check_judge

    # Read once more by the run; here its size is told, and a bad file refused at once.
    total = len(asked.labels().cases)
    view = JudgeView(out.progress, total=total, budget_usd=asked.max_cost_usd)
    with database() as db, view.bars:
        return await follow(db, asked.run_id, view, check_judge(asked))


def _finish(out: Out, found: dict[str, Any]) -> int:
    run_id = found["run_id"]
    if found["status"] == "cancelled":
        error = RunCancelledError(
            f"Run {run_id} was cancelled; what was judged is remembered.",
            hint="Type the command again to go on.",
        )
        raise CommandError(error, run_id=run_id, cost_usd=found["cost_usd"])
    out.document(found)
    _say(out, found)
    if found["status"] == "stopped":
        return STOPPED
    return 0 if found["passed"] else FAILED


def _say(out: Out, found: dict[str, Any]) -> None:
    judge = found["judge"]
    who = judge.get("evaluator") or f"the referee of {judge['referee']}"
    model = f" ({judge['model']})" if "model" in judge else ""
    simulated = " (simulated)" if found["simulated"] else ""
    out.say(
        f"{who}{model} against people on {found['scored']} of {found['cases']} cases{simulated}",
        style="bold",
    )
    kappa = found["kappa"]
    weighted = "" if kappa["weights"] == "none" else ", quadratic weights"
    out.say(f"  Agreement  {score_text(found['agreement'])}")
    out.say(f"  Kappa      {_number(kappa)}{weighted}")
    out.say(f"  Bias       {_number(found['bias'], signed=True)}, judge minus people")
    remembered = f", {found['remembered']} remembered" if found["remembered"] else ""
    calls = f"{found['model_calls']} model calls{remembered}"
    out.say(f"  Cost       {usd(found['cost_usd'])} for {calls}")
    if found["scored"]:
        _say_confusion(out, found)
    _say_differences(out, found["differences"])
    for one in found["unscored_cases"][:_SHOWN]:
        out.say(f"  No verdict on {one['id']}: {one['error']}", style="yellow")
    if found["columns_not_read"]:
        out.note(f"Columns that were not read: {', '.join(found['columns_not_read'])}")
    if found["stopped_by"]:
        out.note(f"Stopped: {found['stopped_because']} What was judged is remembered.")
    elif found["verdict"]:
        out.note(f"Failed: {found['verdict']}")
    elif found["min_kappa"] is not None and (kappa["low"] or 0) < found["min_kappa"]:
        out.note(
            f"The kappa is over {found['min_kappa']:g}, but its interval is not: with more "
            "labels you would know."
        )


def _number(interval: dict[str, Any], *, signed: bool = False) -> str:
    if interval["value"] is None:
        return "not known"
    value, low, high = (
        f"{interval[name]:+.2f}" if signed else f"{interval[name]:.2f}"
        for name in ("value", "low", "high")
    )
    return f"{value} (95% interval {low} to {high})"


def _say_confusion(out: Out, found: dict[str, Any]) -> None:
    levels = [f"{level:g}" for level in found["levels"]]
    rows = zip(levels, found["confusion"], strict=True)
    out.table(
        ("people said", *(f"judge {level}" for level in levels)),
        [(level, *counts) for level, counts in rows],
    )


def _say_differences(out: Out, differences: Sequence[dict[str, Any]]) -> None:
    if not differences:
        return
    out.say(f"They differ on {len(differences)}, the furthest apart first:")
    out.table(
        ("case", "people", "judge", "judged", "its reason"),
        [
            (d["id"], d["label"], d["score"], _short(d["judged"]), _short(d["reason"]))
            for d in differences[:_SHOWN]
        ],
    )
    if len(differences) > _SHOWN:
        out.say(f"{len(differences) - _SHOWN} more: --json lists them all.")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARS else line[: _SHOWN_CHARS - 1] + "…"
