"""Storing a checkpoint, with its event, once."""

from __future__ import annotations

from typing import Any

from cornerman.storage import checkpoints, events, runs
from cornerman.tasks.training_context import TrainingContext
from prefect import task
from prefect.cache_policies import NO_CACHE

from cornerman.domain.checkpoints import Checkpoint, NewCheckpoint
from cornerman.domain.runs import NewEvent


def _store(session: Any, context: TrainingContext, new: NewCheckpoint) -> Checkpoint:
    runs.require_held(session, context.run_id, context.owner)
    stored, _ = checkpoints.create_checkpoint(session, new)
    event = NewEvent(
        "agentensor_trainer", "training_checkpoint", stored.as_dict(), f"checkpoint:{new.id}"
    )
    events.create_event(session, context.run_id, event)
    return stored


@task(name="checkpoint", cache_policy=NO_CACHE, persist_result=False)
async def store_checkpoint(context: TrainingContext, new: NewCheckpoint) -> Checkpoint:
    """Store a checkpoint and its event in one transaction; storing it again changes nothing."""
    return await context.db.write(_store, context, new)
