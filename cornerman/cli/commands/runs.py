"""`cornerman runs`: training runs, evaluations, battle batches and scout runs."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cornerman.cli.output import Out, usd
from cornerman.cli.store import (
    JsonOption,
    LimitOption,
    WorkflowOption,
    command_group,
    database,
    find_run,
)
from cornerman.domain.errors import BadInputError
from cornerman.domain.money import pico_to_usd
from cornerman.domain.runs import CASE_KINDS

if TYPE_CHECKING:
    from cornerman.domain.runs import Run
    from cornerman.storage.database import Database

app = command_group("runs", "Training runs, evaluations, battle batches and scout runs.")

_KINDS = ("train", "evaluate", "battle", "scout", "judge")
_CANCEL_WAIT_SECONDS = 5.0
_LOOK_SECONDS = 0.2


def run_document(run: Run, cost_pico: int) -> dict[str, Any]:
    """A run for programs, without its request and its result, which may be large."""
    times = ("created_at", "started_at", "finished_at", "cancel_requested_at")
    return {
        "id": run.id,
        "kind": run.kind,
        "workflow_id": run.workflow_id,
        "status": run.status,
        "stopped_by": run.stopped_by,
        "simulated": run.simulated,
        "metrics": run.metrics_at(cost_pico),
        "cost_usd": pico_to_usd(cost_pico),
        "error": run.error,
        **{name: _iso(getattr(run, name)) for name in times},
    }


def _iso(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat()


@app.command("list")
def list_runs(
    kind: Annotated[
        str | None, typer.Option("--kind", help="train, evaluate, battle or scout.")
    ] = None,
    workflow: WorkflowOption = None,
    active: Annotated[bool, typer.Option("--active", help="Only those that have not ended.")] = (
        False
    ),
    limit: LimitOption = 20,
    json: JsonOption = False,
) -> None:
    """List runs, newest first."""
    from cornerman.storage.ledger import read_run_costs_pico
    from cornerman.storage.runs import read_runs

    if kind is not None and kind not in _KINDS:
        raise BadInputError(f"--kind is {kind!r}; it must be one of {', '.join(_KINDS)}.")
    out = Out(json)
    with database() as db, db.reading() as session:
        found = read_runs(
            session,
            kind=kind,
            workflow_id=workflow,
            active=True if active else None,
            limit=limit,
        )
        costs = read_run_costs_pico(session, [run.id for run in found])
    out.document([run_document(run, costs.get(run.id, 0)) for run in found])
    if not found:
        out.say("There are no runs. Start one with: cornerman train SPEC")
        return
    out.table(
        ("run", "kind", "workflow", "status", "validation", "cost", "started"),
        [_row(run, costs.get(run.id)) for run in found],
    )


def _row(run: Run, cost_pico: int | None) -> tuple[Any, ...]:
    status = (
        run.status if run.stopped_by in (None, run.status) else (f"{run.status} ({run.stopped_by})")
    )
    if lost := sum(run.metrics.get(name) or 0 for name in ("failed", "unscored")):
        status += f", {lost} of {run.metrics.get('battles_total', lost)} failed"
    started = run.started_at or run.created_at
    return (
        run.id,
        f"{run.kind}, simulated" if run.simulated else run.kind,
        run.workflow_id,
        status,
        run.metrics.get("validation_score"),
        usd(None if cost_pico is None else pico_to_usd(cost_pico)),
        started.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
    )


@app.command("trace")
def trace(
    run_id: Annotated[
        str, typer.Argument(help="A training run's or evaluation's id, or a batch's.")
    ],
    case_id: Annotated[str, typer.Argument(help="A case's id, or a battle's.")],
    candidate: Annotated[
        str | None, typer.Option("--candidate", help="Such as c0; by default the best.")
    ] = None,
    repeat: Annotated[int, typer.Option("--repeat", min=0, help="Which repeat of the case.")] = 0,
    json: JsonOption = False,
) -> None:
    """Show the model calls of one case or battle in order: messages, tools, tokens, cost."""
    from cornerman.cli.commands.trace import show_trace

    show_trace(Out(json), run_id, case_id, candidate, repeat)


@app.command("export")
def export(
    run_id: Annotated[str, typer.Argument(help="A training run's id, or a batch's.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A JSONL file, which is added to.")
    ],
    failed: Annotated[
        bool, typer.Option("--failed", help="Only what failed: under 0.5, battles under 50.")
    ] = False,
    below: Annotated[
        float | None, typer.Option("--below", help="Only what scored less; 0-1, battles 0-100.")
    ] = None,
    candidate: Annotated[
        str | None, typer.Option("--candidate", help="Such as c0; by default the best.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write a run's cases to a file, to learn from; what is there already is not added again.

    Lost battles become the cases that training on battles uses: the same people, scenes and seeds.
    """
    from cornerman.cli.commands.export import export_run

    export_run(Out(json), run_id, output, failed=failed, below=below, candidate=candidate)


@app.command("show")
def show(
    run_id: Annotated[str, typer.Argument(help="The run's id, or how only it begins.")],
    events: Annotated[int, typer.Option("--events", min=0, max=1000, help="Last events.")] = 10,
    json: JsonOption = False,
) -> None:
    """Show a run: its state, figures, ledger by role and last events."""
    from cornerman.storage.events import read_events
    from cornerman.storage.ledger import read_ledger_summary, read_run_cost_pico

    out = Out(json)
    with database() as db:
        run = find_run(db, run_id)
        with db.reading() as session:
            booked = read_ledger_summary(session, run.id)
            cost = read_run_cost_pico(session, run.id)
            last = read_events(session, run.id, after=max(0, run.last_seq - events))
    document = run_document(run, cost)
    document |= {"request": run.request, "result": run.result}
    document |= {"ledger": booked, "events": [event.as_dict() for event in last]}
    out.document(document)
    if not json:
        _print(out, run, document["metrics"], booked, last if events else [])


def _print(
    out: Out, run: Run, metrics: dict[str, Any], booked: list[dict[str, Any]], last: list[Any]
) -> None:
    stopped = f", stopped by {run.stopped_by}" if run.stopped_by else ""
    out.say(f"{run.id}: {run.kind} of {run.workflow_id}, {run.status}{stopped}", style="bold")
    if run.simulated:
        out.say("Simulated: its text came from the rehearsal endpoint.", style="yellow")
    for name in ("created_at", "started_at", "finished_at"):
        out.say(f"{name.replace('_', ' '):<12} {_iso(getattr(run, name)) or '-'}")
    for name, value in metrics.items():
        out.say(f"{name}: {value}")
    if run.error:
        out.say(f"{run.error.get('type')}: {run.error.get('message')}", style="red")
    out.table(
        ("role", "model", "calls", "failed", "tokens in", "tokens out", "cost"),
        [
            (
                *(row[name] for name in ("role", "model", "calls", "failed")),
                *(row[name] for name in ("input_tokens", "output_tokens")),
                usd(row["cost_usd"]),
            )
            for row in booked
        ],
    )
    for event in last:
        out.say(f"{event.seq:>5} {event.created_at:%H:%M:%S} {event.event}{_gist(event.payload)}")


def _gist(payload: dict[str, Any]) -> str:
    """What tells one event from another, in a few words."""
    names = ("case_id", "status", "epoch", "validation_score", "accepted", "battle_id", "score")
    held = [f"{name} {payload[name]}" for name in names if payload.get(name) is not None]
    return f"  {', '.join(held)}" if held else ""


@app.command("cancel")
def cancel(
    run_id: Annotated[str, typer.Argument(help="The run's id, or how only it begins.")],
    json: JsonOption = False,
) -> None:
    """End a run; what it has is kept, and training or an evaluation can be resumed."""
    from cornerman.runner.start import cancel_run
    from cornerman.settings import get_settings
    from cornerman.storage.ledger import read_run_cost_pico

    out = Out(json)
    with database() as db:
        run = find_run(db, run_id)
        # Also ends one that waits for a worker or for its process to begin.
        asyncio.run(cancel_run(db, run.id, settings=get_settings()))
        run = _wait_until_ended(db, run.id)
        with db.reading() as session:
            cost = read_run_cost_pico(session, run.id)
    out.document(run_document(run, cost))
    if not run.finished:
        out.say(f"{run.id} was asked to end and is {run.status}; look again in a moment.")
        return
    out.say(f"{run.id} is {run.status}.")
    if run.kind in CASE_KINDS and run.status == "cancelled":
        out.say(f"Continue it with: cornerman {run.kind} --resume {run.id}")


def _wait_until_ended(db: Database, run_id: str) -> Run:
    from cornerman.storage.runs import read_run

    give_up = time.monotonic() + _CANCEL_WAIT_SECONDS
    while True:
        with db.reading() as session:
            run = read_run(session, run_id)
        assert run is not None
        if run.finished or time.monotonic() >= give_up:
            return run
        time.sleep(_LOOK_SECONDS)
