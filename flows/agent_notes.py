"""What a training run's result says of its agent: what was not metered, and what it never read."""

from __future__ import annotations

from typing import Any

from cornerman.tasks.training_context import TrainingContext


def agent_notes(context: TrainingContext, ledger: list[dict[str, Any]]) -> list[str]:
    """Sentences for the result, the report and the terminal; none for a chat agent.

    Args:
        ledger: The run's calls by role and model.
    """
    metering = context.metering
    if metering is None:
        return []
    notes, facts = list[str](), metering.facts()
    made = sum(line["calls"] for line in ledger if line["role"] == "agent")
    hosts = ", ".join(facts["unmetered_hosts"])
    if not made:
        where = f" It called {hosts}." if hosts else ""
        notes.append(
            f"The agent {_name(context)} ended the run with no metered call, so its cost is "
            f"unknown and no budget held it.{where}"
        )
    elif hosts:
        notes.append(f"Calls of the agent to {hosts} were not metered: their cost is unknown.")
    if count := facts["unattributed_calls"]:
        notes.append(
            f"{count} of the agent's calls came from no case's context, as those of a bare thread "
            "do; they are booked on the run."
        )
    if unread := sorted(context.trainable - context.prompts_read):
        notes.append(f"The agent never read the trainable prompts {', '.join(unread)}.")
    return notes


def _name(context: TrainingContext) -> str:
    graph = context.spec.graph_config
    return "" if graph is None else graph.entrypoint or "behind HTTP"
