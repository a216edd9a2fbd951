"""Every table. Money is in picodollars (`*_pico`), times are UTC."""

from storage.tables.battles import battles, breakthroughs, personas, ratings, turns
from storage.tables.checkpoints import agentensor_checkpoints, best_moves
from storage.tables.ledger import budgets, ledger_sums, llm_calls, response_cache
from storage.tables.metadata import metadata
from storage.tables.operations import kill_switch, leases, notifications
from storage.tables.runs import events, run_steps, runs, workflows
from storage.tables.training import candidates, case_results

__all__ = [
    "agentensor_checkpoints",
    "battles",
    "best_moves",
    "breakthroughs",
    "budgets",
    "candidates",
    "case_results",
    "events",
    "kill_switch",
    "leases",
    "ledger_sums",
    "llm_calls",
    "metadata",
    "notifications",
    "personas",
    "ratings",
    "response_cache",
    "run_steps",
    "runs",
    "turns",
    "workflows",
]
