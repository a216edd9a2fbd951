"""How a batch's end is told at the command line."""

from __future__ import annotations

from typing import Any

from cornerman.cli.output import Out, usd

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
    out.say(f"Batch {result['batchId']}{stopped}{simulated}", style="bold")
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
    average = result["averageScore"]
    out.say(f"  Completed      {result['battlesCompleted']} of {len(result['battles'])}")
    out.say(f"  Average score  {'-' if average is None else f'{average:.1f} of 100'}")
    _say_left_out(out, result["metrics"])
    out.say(f"  Breakthroughs  {result['breakthroughs']}")
    out.say(f"  Cost           {usd(result['totalCost'])}")
    for error in result["errors"]:
        out.say(f"  {error}", style="red")
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
    if worse := metrics["regression"]:
        out.say(
            f"  Regression     {worse['difference']:+.1f} points against {worse['previous']} "
            f"(95%: {worse['low']:+.1f} to {worse['high']:+.1f})",
            style="red",
        )
