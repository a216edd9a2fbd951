"""What a run's result says of its agent: what was not metered, and what it never read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cornerman.domain.training import GraphOptions
from cornerman.domain.training.evaluation import Column
from cornerman.tasks.battle_context import BattleContext
from cornerman.tasks.metering import AgentMetering
from cornerman.tasks.training_context import TrainingContext

Ledger = list[dict[str, Any]]


def agent_notes(context: TrainingContext, ledger: Ledger) -> list[str]:
    """Sentences for the result, the report and the terminal; none for a chat agent.

    Args:
        ledger: The run's calls by role and model.
    """
    if context.metering is None:
        return []
    notes = _metering_notes(context.metering, _name(context.spec.graph_config), ledger)
    return notes + _unread(context.trainable - context.prompts_read)


def battle_notes(context: BattleContext, ledger: Ledger) -> list[str]:
    """The same of a batch's agent."""
    if context.metering is None:
        return []
    notes = _metering_notes(context.metering, _name(context.workflow.agent), ledger)
    trainable = {name for name, prompt in context.prompts.items() if prompt.requires_grad}
    return notes + _unread(trainable - context.prompts_read)


def _metering_notes(metering: AgentMetering, name: str, ledger: Ledger) -> list[str]:
    notes, facts = list[str](), metering.facts()
    made = sum(line["calls"] for line in ledger if line["role"] == "agent")
    hosts = ", ".join(facts["unmetered_hosts"])
    if not made:
        where = f" It called {hosts}." if hosts else ""
        notes.append(
            f"The agent {name} ended the run with no metered call, so its cost is unknown and no "
            f"budget held it.{where}"
        )
    elif hosts:
        notes.append(f"Calls of the agent to {hosts} were not metered: their cost is unknown.")
    if count := facts["unattributed_calls"]:
        notes.append(
            f"{count} of the agent's calls came from no case's context, as those of a bare thread "
            "do; they are booked on the run."
        )
    return notes


def model_notes(
    columns: Sequence[Column], calls: Mapping[str, Mapping[tuple[str, str], int]]
) -> list[str]:
    """Which columns were asked for with a model that their agent did not call.

    Args:
        calls: By candidate, then by role and model.
    """
    notes = list[str]()
    for column in columns:
        called = sorted(model for role, model in calls.get(column.id, {}) if role == "agent")
        if column.override is not None and called and column.override not in called:
            notes.append(
                f"{column.name}: the agent called {', '.join(called)} instead; one with code of "
                "its own must read the model: prompts[NAME].model."
            )
    return notes


def _unread(names: set[str]) -> list[str]:
    if not names:
        return []
    return [f"The agent never read the trainable prompts {', '.join(sorted(names))}."]


def _name(graph: GraphOptions | None) -> str:
    return "" if graph is None else graph.entrypoint or "behind HTTP"
