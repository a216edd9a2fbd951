"""`cornerman estimate`: what a run may cost, before anything is spent."""

from __future__ import annotations

from typing import Annotated

import typer

from cornerman.cli.options import JsonOption
from cornerman.cli.output import Out, usd


def estimate(
    spec: Annotated[
        str, typer.Argument(metavar="SPEC|battle", help="A training spec, or the word battle.")
    ],
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", "-n", help="Battles, for battle.")
    ] = None,
    workflow: Annotated[
        str, typer.Option("--workflow", "-w", help="Whose agent plays, for battle.")
    ] = "negotiation",
    json: JsonOption = False,
) -> None:
    """Give the range of what a run may cost, from its texts, prices and past runs."""
    from cornerman.cli.estimating import estimate_battle, estimate_training

    out = Out(json)
    found = estimate_battle(workflow, batch_size) if spec == "battle" else estimate_training(spec)
    out.document(found.as_dict())
    out.say(
        f"Likely {usd(found.usd.likely)}, between {usd(found.usd.low)} and {usd(found.usd.high)}.",
        style="bold",
    )
    out.table(
        ("role", "model", "calls at least", "likely", "at most"),
        [
            (group.role, group.model, *(f"{count:.0f}" for count in vars(group.calls).values()))
            for group in found.groups
        ],
    )
    out.say(f"Basis: {found.basis}")
    for note in found.notes:
        out.say(f"Note: {note}", style="yellow")
