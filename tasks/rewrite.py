"""One call to the optimizer's model, paid for once per run and key.

Storing a checkpoint, with its event, once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from cornerman.clients.llm import ChatAnswer, ChatRequest
from cornerman.domain.runs import NewEvent
from cornerman.domain.seeds import derived_seed
from cornerman.domain.training.candidates import Checkpoint, NewCheckpoint
from cornerman.storage import checkpoints, events, runs, steps
from cornerman.tasks.training_context import TrainingContext, texts_of

REWRITE_MAX_TOKENS = 2_048
REWRITE_TIMEOUT_SECONDS = 120.0
# Several proposals of one round must differ.
REWRITE_TEMPERATURE = 1.0


@task(name="rewrite", cache_policy=NO_CACHE, persist_result=False)
async def ask_optimizer(
    context: TrainingContext, key: str, messages: Sequence[Mapping[str, str]]
) -> str:
    """Ask the optimizer's model and keep its answer.

    Raises:
        StopError: The run must start no more work.
        LLMError: No usable answer, after the client's retries.
    """
    kept = await context.db.read(steps.read_step, context.run_id, key)
    if kept is not None:
        return str(kept["text"])
    context.check()
    request = ChatRequest(
        role="optimizer",
        model=context.settings.model_for("optimizer"),
        messages=texts_of(messages),
        max_tokens=REWRITE_MAX_TOKENS,
        temperature=REWRITE_TEMPERATURE,
        seed=derived_seed(context.spec.optimizer.seed, "rewrite", key),
        timeout_seconds=REWRITE_TIMEOUT_SECONDS,
    )

    def keep(session: Any, answer: ChatAnswer) -> None:
        steps.create_step(session, context.run_id, key, {"text": answer.text})

    answer = await context.llm.chat(context.scope(f"rewrite:{key}"), request, keep=keep)
    # Again, for an answer from the cache; the first one stored stands.
    stored = await context.db.write(steps.create_step, context.run_id, key, {"text": answer.text})
    return str(stored["text"])


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
