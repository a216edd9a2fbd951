"""What a flow run has to know of the schedule that started it."""

from __future__ import annotations

from datetime import UTC, datetime

from prefect.context import FlowRunContext
from prefect.runtime import deployment

from cornerman.domain.battle_request import BattleParameters
from cornerman.domain.cron import schedule_key
from cornerman.settings import get_settings


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
