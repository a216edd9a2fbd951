"""An own agent's seat in a batch's battle: its key, its turns, and what each of them cost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cornerman.domain.aio import Deadline
from cornerman.domain.battles import Turn
from cornerman.domain.battles.conversation import make_turn
from cornerman.domain.money import pico_to_usd
from cornerman.domain.runs import NewEvent
from cornerman.domain.traces import PromptFinder, ReplayQueue, replaying
from cornerman.storage import battles, events, ledger, runs, traces
from cornerman.tasks.agent import Agent, AgentContext
from cornerman.tasks.agent_chat import AgentChat
from cornerman.tasks.battle_calls import Stage
from cornerman.tasks.battle_context import BattleContext, BattleJob
from cornerman.tasks.meter import telling_waits
from cornerman.tasks.metering import calling_for
from cornerman.tasks.own_turn import require_remembered, situated, take_turn

if TYPE_CHECKING:
    from cornerman.meter.accounts import CaseKey


@dataclass
class OwnSeat:
    """Where the user's agent sits in one battle, from its first turn to its last."""

    context: BattleContext
    job: BattleJob
    stage: Stage
    agent: Agent
    queue: ReplayQueue
    finder: PromptFinder
    deadline: Deadline
    key: CaseKey | None = None

    def extend(self, seconds: float) -> None:
        """Waiting for money is not the agent's time."""
        self.deadline.extend(seconds)

    async def speak(self, turns: Sequence[Turn]) -> Turn:
        """The agent's next turn, stored.

        Raises:
            StopError: One of its calls did not fit, whatever the agent made of that.
            Exception: Whatever it raised; see `take_turn`.
        """
        context, job = self.context, self.job
        began = time.perf_counter()
        self.deadline = Deadline(self.stage.workflow.turn_timeout_seconds)
        context.meter.take_tally(context.batch_id, job.subject)
        try:
            with calling_for(self.key), telling_waits(self.extend), replaying(self.queue):
                said = await take_turn(
                    self.agent,
                    self.stage,
                    turns,
                    situated(self._agent_context(len(turns)), self.stage, turns),
                    heard=None if self.key is None else self.key.take_traces,
                    deadline=self.deadline,
                )
        finally:
            if self.key is not None and self.key.refused is not None:
                raise self.key.refused
        context.prompts_read |= said.prompts_read
        cost = context.meter.take_tally(context.batch_id, job.subject).cost_pico
        turn = make_turn(
            len(turns),
            "agent",
            said.text if said.text.strip() else "(nothing was said: the agent returned no text)",
            cost_usd=pico_to_usd(cost),
            latency_ms=(time.perf_counter() - began) * 1000,
            tool_calls=said.tool_calls,
            state=said.state,
        )
        await context.db.write(_store, context.batch_id, job, turn)
        return turn

    def _agent_context(self, place: int) -> AgentContext:
        context, job, metering = self.context, self.job, self.context.metering
        return AgentContext(
            run_id=context.batch_id,
            case_id=job.battle_id,
            candidate_id=context.agent_version,
            epoch=0,
            chat=AgentChat(
                context.llm,
                context.settings,
                lambda: context.scope(job.subject),
                seed=(job.seed, f"turn {place}"),
                finder=self.finder,
                timeout_seconds=self.stage.workflow.turn_timeout_seconds,
            ),
            timeout_seconds=self.stage.workflow.turn_timeout_seconds,
            base_url=metering.server.openai_url if metering else "",
            api_key=self.key.token if self.key else "",
            anthropic_base_url=metering.server.anthropic_url if metering else "",
        )


@contextlib.asynccontextmanager
async def seated(
    context: BattleContext, job: BattleJob, stage: Stage, turns: Sequence[Turn]
) -> AsyncGenerator[OwnSeat | None]:
    """Give the user's agent its seat; None where the agent is a chat call a turn.

    Args:
        turns: Those that a process which died has held.

    Raises:
        ForgottenTalkError: The agent cannot go on with them.
    """
    if context.agent is None:
        yield None
        return
    require_remembered(stage, turns)
    stored = await context.db.read(traces.read_replays, context.batch_id, job.subject)
    queue = ReplayQueue(stored)
    finder = PromptFinder({name: prompt.text for name, prompt in context.prompts.items()})
    deadline = Deadline(stage.workflow.turn_timeout_seconds)
    seat = OwnSeat(context, job, stage, context.agent, queue, finder, deadline)
    if context.metering is not None:
        with replaying(queue):
            seat.key = context.metering.key(job.subject, prompts=finder, extend=seat.extend)
    is_well = False
    try:
        yield seat
        is_well = True
    finally:
        if seat.key is not None:
            await seat.key.close(drain=is_well)
            context.prompts_read |= seat.key.prompts_seen


def store_turn(session: Any, batch_id: str, job: BattleJob, turn: Turn) -> None:
    """Store a turn with its event and the batch's cost; one that is there stays as it is."""
    battles.create_turn(session, job.battle_id, turn)
    payload = {
        "batch_id": batch_id,
        "battle_id": job.battle_id,
        "persona_id": job.persona.id,
        "turn": turn.model_dump(mode="json"),
    }
    key = f"battle_turn:{job.battle_id}/{turn.index}"
    events.create_event(session, batch_id, NewEvent("battle_batch", "battle_turn", payload, key))
    cost = pico_to_usd(ledger.read_run_cost_pico(session, batch_id))
    runs.update_run_metrics(session, batch_id, {"cost_usd": cost})


def _store(session: Any, batch_id: str, job: BattleJob, turn: Turn) -> None:
    """Store an own agent's turn: what its calls were answered is asked for no more."""
    store_turn(session, batch_id, job, turn)
    traces.forget_replays(session, batch_id, job.subject)
