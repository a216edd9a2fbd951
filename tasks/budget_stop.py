"""A budget that is reached stops all paid work until a person has looked at it."""

from __future__ import annotations

from typing import Any

from cornerman.storage import events, kill_switch, ledger

from cornerman.domain.errors import BudgetExceededError
from cornerman.domain.ledger import CallScope
from cornerman.domain.money import pico_to_usd
from cornerman.domain.runs import NewEvent


def trip_kill_switch(
    session: Any, run_id: str, scope: CallScope, stop: BudgetExceededError
) -> None:
    """Turn the kill-switch on, with the reason; write the ledger's figures as an event.

    Args:
        scope: Its budgets are in the event, each with what is spent and reserved.
    """
    kill_switch.create_kill_switch_state(
        session, active=True, reason=f"{run_id}: {stop.message}", by="ledger"
    )
    payload = {
        "batch_id": run_id,
        "budget": stop.scope,
        "limit_usd": stop.limit_usd,
        "spent_usd": stop.spent_usd,
        "refused_call_worst_case_usd": stop.needed_usd,
        "budgets": [_budget(session, name) for name in scope.budgets],
        "calls": ledger.read_ledger_summary(session, run_id),
    }
    event = NewEvent("battle_batch", "budget_stopped", payload, f"budget_stopped:{stop.scope}")
    events.create_event(session, run_id, event)


def _budget(session: Any, name: str) -> dict[str, Any]:
    state = ledger.read_budget(session, name)
    if state is None:
        return {"name": name}
    return {
        "name": name,
        "limit_usd": pico_to_usd(state.limit_pico),
        "spent_usd": pico_to_usd(state.spent_pico),
        "reserved_usd": pico_to_usd(state.reserved_pico),
    }
