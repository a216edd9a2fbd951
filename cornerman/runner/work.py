"""What the process of one run does: its flow, to its end, with what nobody waits for told."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

from cornerman.domain.battles.breakthroughs import PromoteParameters, ScoutParameters
from cornerman.domain.battles.request import BattleParameters
from cornerman.domain.errors import ConflictError
from cornerman.domain.runs import Run, RunKind
from cornerman.domain.training import TrainParameters
from cornerman.domain.training.evaluation import EvaluateParameters
from cornerman.flows.engine import open_database
from cornerman.runner.launches import LaunchFolder
from cornerman.runner.requests import keep_failed_trial
from cornerman.runner.start import error_facts, finish_cancelled, finish_unstarted
from cornerman.settings import get_settings
from cornerman.storage import runs
from cornerman.storage.database import Database

log = logging.getLogger(__name__)

# What a row keeps beside what was asked for.
_NOT_ASKED = ("dataset_fingerprint", "columns")


async def work(kind: RunKind, run_id: str) -> int:
    """Work on a stored run to its end; returns the exit code."""
    async with open_database() as db:
        run = await db.read(runs.read_run, run_id)
        if run is None or run.kind != kind:
            log.error("There is no %s run %r.", kind, run_id)
            return 2
        if not await _wanted(db, run):
            return 0
    try:
        await _flow(kind, _parameters(run) | {"run_id": run_id})
    except ConflictError as error:
        log.warning("%s", error)  # another process works on it
        return 0
    except Exception as error:
        # Whatever it was, nobody waits at this process; who watches the run must be told.
        log.exception("Run %s failed", run_id)
        async with open_database() as db:
            await db.write(finish_unstarted, run_id, error_facts(error))
        return 1
    return 0


async def _wanted(db: Database, run: Run) -> bool:
    if run.cancel_requested_at is not None:
        await db.write(finish_cancelled, run.id)
        return False
    return not run.finished


def _parameters(run: Run) -> dict[str, Any]:
    launch = LaunchFolder(get_settings().home).read(run.id)
    if launch is not None:
        return launch.parameters
    # Started by hand: the row has everything but secrets.
    return {key: value for key, value in run.request.items() if key not in _NOT_ASKED}


async def _flow(kind: RunKind, parameters: dict[str, Any]) -> None:
    if kind == "train":
        from cornerman.flows.train import train_workflow

        await train_workflow(TrainParameters.model_validate(parameters))
    elif kind == "evaluate":
        from cornerman.flows.evaluate import evaluate_workflow

        await evaluate_workflow(EvaluateParameters.model_validate(parameters))
    elif kind == "battle":
        from cornerman.flows.battle import battle_batch

        await battle_batch(BattleParameters.model_validate(parameters))
    else:
        from cornerman.flows.scout import scout

        await scout(ScoutParameters.model_validate(parameters))


async def promote(run_id: str) -> int:
    """Hold the trial that may promote a breakthrough; returns the exit code."""
    launch = LaunchFolder(get_settings().home).read(run_id)
    if launch is None:
        log.error("Nothing is known of the trial %r.", run_id)
        return 2
    from cornerman.flows.promote import promote_breakthrough

    parameters = PromoteParameters.model_validate(launch.parameters)
    try:
        await promote_breakthrough(parameters)
    except Exception as error:
        # Nobody waits at this process; who looks at the breakthrough must be told.
        log.exception("The trial %s failed", run_id)
        async with open_database() as db:
            await db.write(keep_failed_trial, parameters.breakthrough_id, str(error))
        return 1
    return 0


def run(kind: str, run_id: str) -> int:
    """Work on a launched run; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if kind == "promote":
        return asyncio.run(promote(run_id))
    return asyncio.run(work(cast("RunKind", kind), run_id))
