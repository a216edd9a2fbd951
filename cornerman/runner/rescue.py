"""Runs of a Prefect server whose process or worker died: given to the next worker.

Prefect itself leaves such a flow run `Running` for ever. Cornerman knows better, because whoever
works on a run keeps its heart beating in the database; so every worker looks there, and has the
flow run scheduled again under its own id, which makes it go on where it was.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import AwaitingRetry, Cancelled, Crashed

from cornerman.flows.plumbing.processes import is_gone, process_owner
from cornerman.runner.overdue import end_overdue
from cornerman.runner.start import finish_cancelled, finish_unstarted
from cornerman.storage import run_reads, slots
from cornerman.storage.database import Database

log = logging.getLogger(__name__)

MOST_STARTS = 5
LOOK_SECONDS = 1.0
_LEASE_SECONDS = 30.0
# Between a worker's taking a flow run and the flow's first sign of life.
_PENDING_SECONDS = 120.0
_STUCK_EVERY = 15
_TAG = "cornerman"


class Rescuer:
    """Looks for dead runs. Any number of them may look at the same time."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._me = process_owner()

    async def run_forever(self) -> None:
        """Look once a second until cancelled."""
        turn = 0
        async with get_client() as client:
            while True:
                try:
                    await self.look(client)
                    if turn % _STUCK_EVERY == 0:
                        await self._free_stuck(client)
                except Exception:
                    # A database or server that is away for a minute must not end the watch.
                    log.exception("Looking for dead runs failed; it is tried again")
                turn += 1
                await asyncio.sleep(LOOK_SECONDS)

    async def look(self, client: PrefectClient) -> list[str]:
        """Look once; returns the runs that were given on or ended."""
        await end_overdue(self._db)
        rescued = list[str]()
        for run in await self._db.read(run_reads.read_dead_claims, is_gone):
            name = f"rescue:{run.id}"
            # Held on to its end, so that nobody else judges what the server shows meanwhile.
            held = await self._db.write(
                slots.acquire_lease, name, self._me, ttl_seconds=_LEASE_SECONDS
            )
            if held is None and await self._rescue(client, run):
                rescued.append(run.id)
        return rescued

    async def _rescue(self, client: PrefectClient, run: run_reads.Claim) -> bool:
        if run.flow_run_id is None:
            return False
        try:
            flow_run = await client.read_flow_run(UUID(run.flow_run_id))
        except ObjectNotFound:
            return False  # another server's, or the embedded one of a local process
        state = flow_run.state
        if flow_run.deployment_id is None or state is None:
            return False
        if state.type in (StateType.SCHEDULED, StateType.PENDING):
            return False  # on its way
        if run.cancel_requested_at is not None or state.type == StateType.CANCELLED:
            await self._db.write(finish_cancelled, run.id)
            await _set(client, flow_run, Cancelled(message="It was cancelled."))
        elif flow_run.run_count >= MOST_STARTS:
            await self._db.write(finish_unstarted, run.id, _gave_up(flow_run))
            await _set(client, flow_run, Crashed(message=_gave_up(flow_run)["message"]))
        else:
            log.warning("Run %s lost its process (start %d)", run.id, flow_run.run_count)
            again = AwaitingRetry(scheduled_time=datetime.now(UTC), message="Its process died.")
            await _set(client, flow_run, again)
        return True

    async def _free_stuck(self, client: PrefectClient) -> None:
        """Give on flow runs that a worker took and never started, because it died."""
        wanted = FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PENDING])),
            tags=FlowRunFilterTags(all_=[_TAG]),
        )
        oldest = datetime.now(UTC) - timedelta(seconds=_PENDING_SECONDS)
        for flow_run in await client.read_flow_runs(flow_run_filter=wanted):
            if flow_run.state is not None and flow_run.state.timestamp < oldest:
                message = "Its worker died before it began."
                again = AwaitingRetry(scheduled_time=datetime.now(UTC), message=message)
                await _set(client, flow_run, again)


async def _set(client: PrefectClient, flow_run: FlowRun, state: Any) -> None:
    # By force: to Prefect a running flow run cannot simply be scheduled again.
    await client.set_flow_run_state(flow_run.id, state, force=True)


def _gave_up(flow_run: FlowRun) -> dict[str, Any]:
    return {
        "type": "ProcessDied",
        "message": f"Its process died {flow_run.run_count} times.",
        "hint": "See the worker's log.",
    }
