"""The flow run's own state on the Prefect server: somebody may cancel it there.

A worker stops the processes that it started, but a flow that runs in a process of its own, or in
somebody's notebook, has to look for itself.

What a flow run has to know of the schedule that started it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.runtime import deployment
from prefect.states import Cancelled

from cornerman.domain.battles.request import BattleParameters
from cornerman.domain.cron import schedule_key
from cornerman.flows.plumbing.embedded_client import tell
from cornerman.settings import get_settings

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.8
_ANSWER_SECONDS = 8.0
_AWAY = (
    "Prefect's server does not answer; the run waits where it needs it. Look with: cornerman doctor"
)
_MESSAGE = "The run was cancelled; it keeps what it has and can be resumed."

# Flow runs of this process whose work was cancelled, by whomever.
_cancelled: set[str] = set()


async def watch_flow_run(flow_run_id: str, cancel: Callable[[str], None]) -> None:
    """Look once a second, for ever; call `cancel(why)` when the flow run was cancelled or ended.

    A server that is away is told on stderr and among the run's events, and again when it is back.
    """
    is_away = False
    async with get_client() as client:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                # Prefect's client would ask for a minute before it says so.
                async with asyncio.timeout(_ANSWER_SECONDS):
                    flow_run = await client.read_flow_run(UUID(flow_run_id))
            except Exception as error:  # noqa: BLE001 - a server that is away must not end a run
                log.debug("The state of flow run %s cannot be read: %r", flow_run_id, error)
                if not is_away:
                    tell(_AWAY)
                is_away = True
                continue
            if is_away:
                tell("Prefect's server answers again; the run goes on.", back=True)
            is_away = False
            state = flow_run.state
            if state is not None and (state.is_cancelling() or state.is_final()):
                cancel(f"its flow run was set to {state.name} in Prefect")


def note_cancelled(flow_run_id: str) -> None:
    """Have the flow run end as Cancelled."""
    _cancelled.add(flow_run_id)


async def leave_cancelling(flow_run_id: str) -> None:
    """Move a flow run that is being cancelled on: out of Cancelling, Prefect lets nothing end."""
    if flow_run_id not in _cancelled:
        return
    try:
        async with get_client() as client:
            flow_run = await client.read_flow_run(UUID(flow_run_id))
            if flow_run.state is not None and flow_run.state.is_cancelling():
                ended = Cancelled(message=_MESSAGE)
                await client.set_flow_run_state(flow_run.id, ended, force=True)
    except Exception as error:  # noqa: BLE001 - the run has ended well, whatever Prefect shows
        log.warning("Flow run %s cannot be set to Cancelled: %r", flow_run_id, error)


async def show_cancelled(_flow: Flow[Any, Any], flow_run: FlowRun, _state: State[Any]) -> None:
    """Hook of a flow that returned: the end of a cancelled run is Cancelled, not Completed."""
    if str(flow_run.id) not in _cancelled:
        return
    _cancelled.discard(str(flow_run.id))
    async with get_client() as client:
        await client.set_flow_run_state(flow_run.id, Cancelled(message=_MESSAGE), force=True)


def is_deployed() -> bool:
    """Whether a worker runs this flow run, so that nobody waits for what it returns."""
    return deployment.id is not None


def battle_parameters(parameters: BattleParameters) -> BattleParameters:
    """The same, with the slot's key when a schedule started the run and no key was given.

    The key makes a batch idempotent: retries of the flow run, and runs that were missed and now
    come late together, are one batch.
    """
    key = scheduled_key(get_settings().battle_cron)
    if key is None or parameters.batch_key is not None:
        return parameters
    return parameters.model_copy(update={"batch_key": f"{key}:{parameters.workflow_id}"})


def scheduled_key(cron: str) -> str | None:
    """The slot's key; None when no schedule started this flow run."""
    context = FlowRunContext.get()
    run = None if context is None else context.flow_run
    if run is None or not run.auto_scheduled or run.expected_start_time is None:
        return None
    return schedule_key(cron, run.expected_start_time, run.start_time or datetime.now(UTC))
