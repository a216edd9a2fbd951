"""The texts that a workflow's battles are held with.

How a batch's end is told at the command line.

`cornerman battle`: one batch of battles, watched while it runs.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cornerman.cli.commands.personas import seed_builtin
from cornerman.cli.output import FAILED, STOPPED, CommandError, Out, usd
from cornerman.cli.store import JsonOption, database, find_run
from cornerman.cli.workflow_files import workflow_id_of
from cornerman.domain.errors import BadInputError, CornermanError, RunCancelledError
from cornerman.domain.runs import CASE_KINDS

if TYPE_CHECKING:
    from cornerman.domain.battles.request import BattleParameters
    from cornerman.domain.battles.workflows import Limits
    from cornerman.storage.database import Database


@dataclass(frozen=True)
class BattleTexts:
    """What both sides and the referee read, apart from what is said."""

    agent_prompt: str
    persona_prompts: list[str]
    rubric: str
    limits: Limits
    has_own_agent: bool


def battle_texts(db: Database, workflow_id: str) -> BattleTexts:
    """Read them.

    Raises:
        NotFoundError: Nothing is known of the workflow's battles, or it has no active personas.
    """
    from cornerman.domain.personas.selection import no_active_personas
    from cornerman.flows.battle_workflow import read_agent, read_battle_workflow
    from cornerman.storage.personas import read_personas

    seed_builtin(db, workflow_id)
    with db.reading() as session:
        workflow = read_battle_workflow(session, workflow_id)
        everybody = read_personas(session, workflow_id)
        prompts, _ = read_agent(session, workflow)
    met = [persona for persona in everybody if persona.active]
    if not met:
        raise no_active_personas(workflow_id, switched_off=bool(everybody))
    scene = max((scenario.description for scenario in workflow.scenarios), key=len)
    return BattleTexts(
        agent_prompt="\n".join([*(prompt.text for prompt in prompts.values()), scene]),
        persona_prompts=[f"{persona.system_prompt}\n{scene}" for persona in met],
        rubric=workflow.rubric.model_dump_json(),
        limits=workflow.limits,
        has_own_agent=workflow.has_own_agent,
    )


_ADVICE = {
    "timeout": "Execution timeout: reduce TRAINING_BATCH_SIZE or MAX_CONCURRENT_BATTLES, or "
    "increase MAX_TRAINING_EXECUTION_TIME_MS.",
    "budget": "Kill-switch activated: check what single battles cost, then type: "
    "cornerman kill-switch off",
    "kill_switch": "Look into why it was turned on, then type: cornerman kill-switch off",
}


def say_batch(out: Out, result: dict[str, Any]) -> None:
    """A batch's end in a few lines."""
    simulated = " (simulated)" if result.get("simulated") else ""
    stopped = f", stopped by {result['stoppedBy']}" if result["stoppedBy"] else ""
    # A result that 0.1.0 stored says neither its status nor how many failed.
    lost = result.get("status") == "failed"
    failed = " failed: not one battle was scored" if lost else ""
    style = "bold red" if lost else "bold"
    out.say(f"Batch {result['batchId']}{failed}{stopped}{simulated}", style=style)
    out.table(
        ("persona", "status", "score", "ended by", "cost"),
        [
            (
                *(one[name] for name in ("persona_id", "status", "score", "ended_by")),
                usd(one["cost_usd"]),
            )
            for one in result["battles"]
        ],
    )
    if result.get("battlesFailed"):
        out.say(f"  Failed         {result['battlesFailed']} of {len(result['battles'])}")
    average = result["averageScore"]
    out.say(f"  Completed      {result['battlesCompleted']} of {len(result['battles'])}")
    out.say(f"  Average score  {'-' if average is None else f'{average:.1f} of 100'}")
    _say_left_out(out, result["metrics"])
    out.say(f"  Breakthroughs  {result['breakthroughs']}")
    out.say(f"  Cost           {usd(result['totalCost'])}")
    for error in result["errors"]:
        out.say(f"  {error}", style="red")
    for note in result.get("notes", ()):
        out.note(f"  {note}")
    if advice := _ADVICE.get(result["stoppedBy"] or ""):
        out.say(advice, style="yellow")


def _say_left_out(out: Out, metrics: dict[str, Any]) -> None:
    """Which battles the average is without, and how far two referees agreed."""
    if metrics["spoiled"]:
        out.say(f"  Spoiled        {metrics['spoiled']}: out of its role; not rated")
    if metrics["unscored"]:
        out.say(f"  Unscored       {metrics['unscored']}: no usable verdict; not rated")
    if agreement := metrics["referee_agreement"]:
        out.say(
            f"  Two referees   {agreement['mean_difference']:.1f} points apart on average, "
            f"{agreement['within_10']:.0%} within 10, in {agreement['n']} battles"
        )
    if against := metrics.get("against"):
        out.say(f"  Against        {against['batch_id']}, version {against['agent_version']}")
        out.say(f"                 {change_words(against)}")
    if worse := metrics["regression"]:
        out.say(
            f"  Regression     {worse['difference']:+.1f} points against {worse['previous']} "
            f"(95%: {worse['low']:+.1f} to {worse['high']:+.1f})",
            style="red",
        )


def change_words(against: dict[str, Any]) -> str:
    """How much better or worse a batch went than the one that it repeats, and what that shows."""
    from cornerman.domain.battles.ratings import change_finding
    from cornerman.domain.statistics import PairedInterval

    change = PairedInterval(**against["change"])
    if change.mean is None or change.low is None or change.high is None:
        return "no persona has a rated battle in both"
    if against["unchanged"]:
        return f"unchanged over {change.n} personas, paired. No battle went better or worse."
    said = f"{change.mean:+.1f} points (95%: {change.low:+.1f} to {change.high:+.1f})"
    return f"{said} over {change.n} personas, paired. {change_finding(change)}"


DEFAULT_WORKFLOW = "negotiation"


def battle(
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", "-n", help="Battles; default: the setting's.")
    ] = None,
    personas: Annotated[
        Path | None, typer.Option("--personas", help="Import this file and meet only its people.")
    ] = None,
    workflow: Annotated[
        str,
        typer.Option(
            "--workflow", "-w", help="Whose agent plays: an id, or a YAML file that describes it."
        ),
    ] = DEFAULT_WORKFLOW,
    policy: Annotated[
        str, typer.Option("--policy", help="Who is met: rotate, hardest or uncertain.")
    ] = "rotate",
    seed: Annotated[int, typer.Option("--seed", help="Another seed, other battles.")] = 0,
    turn_limit: Annotated[
        int | None,
        typer.Option("--turn-limit", help="Turns of both sides; default: the workflow's."),
    ] = None,
    second_referee: Annotated[
        bool, typer.Option("--second-referee", help="Judge each battle twice.")
    ] = False,
    confirm: Annotated[
        bool,
        typer.Option("--confirm/--no-confirm", help="Re-run breakthroughs, budget allowing."),
    ] = True,
    repeat: Annotated[
        str | None,
        typer.Option(
            "--repeat",
            metavar="BATCH_ID",
            help="Meet that batch's people again, with the same scenes and seeds, and compare.",
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="BATCH_ID",
            help="Go on with a batch whose process died; it keeps what it was asked.",
        ),
    ] = None,
    json: JsonOption = False,
) -> int:
    """Let the agent meet personas, have a referee score each battle, and rate both sides."""
    from cornerman.settings import get_settings

    out = Out(json)
    if resume is not None:
        return _finish(out, asyncio.run(run_batch(continued_batch(resume), out)))
    size = get_settings().batch_size_checked(batch_size)
    given: dict[str, Any] = {
        "policy": policy,
        "seed": seed,
        "turn_limit": turn_limit,
        "second_referee": second_referee,
        "confirm_breakthroughs": confirm,
    }
    workflow = workflow_id_of(workflow, out)
    if repeat is not None:
        with database() as db:
            earlier = find_run(db, repeat)
        given["repeat_of"] = earlier.id
        if workflow == DEFAULT_WORKFLOW:
            workflow = earlier.workflow_id
    if personas is not None:
        workflow, given["persona_ids"] = _import(personas, workflow, out)
    given |= {"workflow_id": workflow, "batch_size": size}
    result = asyncio.run(run_batch(new_batch(**given), out))
    return _finish(out, result)


def new_batch(**given: Any) -> BattleParameters:
    """The parameters of a new batch.

    Raises:
        BadInputError: One of them is out of its bounds.
    """
    from pydantic import ValidationError

    from cornerman.domain.battles.request import BattleParameters

    try:
        return BattleParameters(**given, run_id=f"batch-{uuid.uuid4().hex[:12]}")
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        raise BadInputError(
            f"{path}: {first['msg']}, got {first['input']!r}", field=path
        ) from error


def continued_batch(batch_id: str) -> BattleParameters:
    """The parameters of a batch that was begun.

    Args:
        batch_id: The batch's id, or how only it begins.

    Raises:
        NotFoundError: There is no such run.
        BadInputError: It is no batch.
    """
    from cornerman.domain.battles.request import BattleParameters

    with database() as db:
        run = find_run(db, batch_id)
    if run.kind != "battle":
        raise BadInputError(
            f"--resume: {run.id} is a {run.kind} run, not a battle batch.",
            field="resume",
            hint=f"Type: cornerman {run.kind} --resume {run.id}" if run.kind in CASE_KINDS else "",
        )
    return BattleParameters.model_validate(run.request | {"run_id": run.id})


def _import(file: Path, workflow: str, out: Out) -> tuple[str, list[str]]:
    from cornerman.cli.commands.personas import store_personas
    from cornerman.domain.personas.files import parse_personas_file

    found = parse_personas_file(file, workflow)
    homes = sorted({persona.workflow_id for persona in found})
    if len(homes) > 1:
        raise BadInputError(
            f"{file} has personas of several workflows, {', '.join(homes)}; a batch has one.",
            field="personas",
        )
    with database() as db:
        created, known = store_personas(db, found)
    out.note(f"{file}: {created} new personas, {known} known.", style=None)
    return homes[0], [persona.id for persona in found]


async def run_batch(parameters: BattleParameters, out: Out) -> dict[str, Any]:
    """Run the flow, showing its progress.

    Raises:
        CommandError: It failed; knows the batch.
    """
    # First of all: the server starts while this process imports what it needs.
    from cornerman.flows.plumbing.embedded_client import begin_early

    begin_early()
    from cornerman.cli.progress import BatchView, follow
    from cornerman.settings import get_settings

    settings, batch_id = get_settings(), str(parameters.run_id)
    size = settings.batch_size_checked(parameters.batch_size)
    size = min(size, len(parameters.persona_ids or range(size)))
    what = "1 battle" if size == 1 else f"{size} battles"
    out.note(f"Batch {batch_id}: at most {what} of {parameters.workflow_id}.", style=None)
    if settings.simulated:
        out.note("Simulated: the rehearsal endpoint answers, not a language model.")
    view = BatchView(out.progress, size=size, budget_usd=settings.batch_budget_usd)
    with database() as db, view.bars:
        from cornerman.flows.battle import battle_batch

        try:
            return await follow(db, batch_id, view, battle_batch(parameters))
        except BadInputError:
            raise
        except CornermanError as error:
            raise CommandError(error, run_id=batch_id) from error


def _finish(out: Out, result: dict[str, Any]) -> int:
    stopped_by = result["stoppedBy"]
    if stopped_by == "cancelled":
        raise CommandError(
            RunCancelledError(
                f"Batch {result['batchId']} was cancelled; finished battles count.",
                hint=f"Look at it with: cornerman runs show {result['batchId']}",
            ),
            run_id=result["batchId"],
            cost_usd=result["totalCost"],
        )
    out.document(result)
    say_batch(out, result)
    if stopped_by in ("budget", "kill_switch"):
        return STOPPED
    return FAILED if result.get("status") == "failed" else 0
