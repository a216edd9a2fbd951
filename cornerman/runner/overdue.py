"""Runs that were told to end and did not: their processes are ended by force.

A process looks for a cancel and for the kill-switch by itself, twice a second. One whose users'
code never comes back and lets no other code run, such as a pattern that tries for ever, sees
neither; only whoever looks from outside can end it.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from cornerman.domain.runs import DEAD_AFTER_SECONDS, Run
from cornerman.flows.plumbing.processes import end_owner
from cornerman.runner.start import finish_cancelled
from cornerman.storage import budgets, ledger, runs
from cornerman.storage.database import Database

log = logging.getLogger(__name__)

GRACE_SECONDS = 10.0
_MOST_RUNS = 200


async def end_overdue(db: Database) -> list[str]:
    """Look once; returns the runs whose processes were ended. Only this machine's are."""
    ended = list[str]()
    for run, status in await db.read(_overdue):
        assert run.owner is not None
        if await asyncio.to_thread(end_owner, run.owner):
            log.warning("Run %s did not end within %g s; ended by force", run.id, GRACE_SECONDS)
            await db.write(_finish, run.id, status)
            ended.append(run.id)
    return ended


def _overdue(session: Any) -> list[tuple[Run, str]]:
    """Runs that should have ended, with what their end is called."""
    latest = datetime.now(UTC) - timedelta(seconds=GRACE_SECONDS)
    switch = budgets.read_kill_switch(session)
    killed = switch.active and switch.since is not None and switch.since < latest
    found = list[tuple[Run, str]]()
    for run in runs.read_runs(session, active=True, limit=_MOST_RUNS):
        if run.status != "running" or run.owner is None:
            continue
        if run.cancel_requested_at is not None and run.cancel_requested_at < latest:
            found.append((run, "cancelled"))
        # One whose heart beats has heard of the switch, and finishes what it may.
        elif killed and not _beats(run):
            found.append((run, "kill_switch"))
    return found


def _beats(run: Run) -> bool:
    oldest = datetime.now(UTC) - timedelta(seconds=DEAD_AFTER_SECONDS)
    return run.heartbeat_at is not None and run.heartbeat_at > oldest


def _finish(session: Any, run_id: str, status: str) -> None:
    if status == "cancelled":
        finish_cancelled(session, run_id)
        return
    run = runs.read_run(session, run_id)
    if run is not None and not run.finished:
        ledger.settle_run_calls(session, run_id)
        runs.finish_run(session, run_id, status="stopped", stopped_by="kill_switch")
