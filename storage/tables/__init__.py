"""Every table. Money is in picodollars (`*_pico`), times are UTC."""

from cornerman.storage.database.types import metadata
from cornerman.storage.tables.battles import battles, breakthroughs, personas, ratings, turns
from cornerman.storage.tables.ledger import (
    budgets,
    call_traces,
    ledger_sums,
    llm_calls,
    output_limits,
    response_cache,
)
from cornerman.storage.tables.runs import (
    events,
    kill_switch,
    leases,
    notifications,
    run_steps,
    runs,
    workflows,
)
from cornerman.storage.tables.training import (
    agentensor_checkpoints,
    best_moves,
    candidates,
    case_results,
)

__all__ = [
    "agentensor_checkpoints",
    "battles",
    "best_moves",
    "breakthroughs",
    "budgets",
    "call_traces",
    "candidates",
    "case_results",
    "events",
    "kill_switch",
    "leases",
    "ledger_sums",
    "llm_calls",
    "metadata",
    "notifications",
    "output_limits",
    "personas",
    "ratings",
    "response_cache",
    "run_steps",
    "runs",
    "turns",
    "workflows",
]
