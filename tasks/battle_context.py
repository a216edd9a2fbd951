"""What the tasks of one battle batch share; opaque to Prefect, as `TrainingContext` is."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping

from cornerman.clients.llm import LLM
from cornerman.domain.battles.request import BattleBatchRequest
from cornerman.domain.battles.workflows import Limits, Workflow
from cornerman.domain.errors import KillSwitchActiveError, RunCancelledError, StopError
from cornerman.domain.money import usd_to_pico
from cornerman.domain.money.ledger import CallScope
from cornerman.domain.personas import Persona, Scenario
from cornerman.domain.runs import battle_subject
from cornerman.domain.seeds import derived_seed
from cornerman.domain.training.candidates import Prompts
from cornerman.evaluators.base import Evaluator
from cornerman.settings import Settings
from cornerman.storage.database import Database
from cornerman.tasks.agent import Agent
from cornerman.tasks.meter import DatabaseMeter
from cornerman.tasks.metering import AgentMetering
from cornerman.tasks.telemetry import Telemetry
from cornerman.tasks.training_context import day_budget_name


class BattleJob:
    """One battle to hold, or to go on with."""

    def __init__(
        self,
        battle_id: str,
        persona: Persona,
        scenario: Scenario,
        position: int,
        seed: int,
        confirms: str | None = None,
    ) -> None:
        self.battle_id = battle_id
        self.persona = persona
        self.scenario = scenario
        self.position = position
        self.seed = seed
        self.confirms = confirms

    @property
    def subject(self) -> str:
        """The ledger's name for the battle."""
        return battle_subject(self.battle_id)


class BattleContext:
    """Shared by all tasks of one batch, in one process.

    Args:
        prompts: Those that the agent plays with.
        agent: One of the user's own; None: a chat call a turn.
        metering: None where nothing but Cornerman itself calls models.
        evaluators: The workflow's own, by id.
        started: When the batch began in this process, by `time.monotonic()`; its time limit
            counts from here.
    """

    def __init__(
        self,
        *,
        batch_id: str,
        request: BattleBatchRequest,
        workflow: Workflow,
        prompts: Prompts,
        agent_version: str,
        settings: Settings,
        db: Database,
        llm: LLM,
        meter: DatabaseMeter,
        simulated: bool,
        started: float,
        agent: Agent | None = None,
        metering: AgentMetering | None = None,
        evaluators: Mapping[str, Evaluator] | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.batch_id = batch_id
        self.request = request
        self.workflow = workflow
        self.prompts = prompts
        self.prompts_read = set[str]()
        self.agent = agent
        self.evaluators = evaluators or {}
        self.agent_version = agent_version
        self.settings = settings
        self.db = db
        self.llm = llm
        self.meter = meter
        self.simulated = simulated
        self.started = started
        self.telemetry = telemetry
        if telemetry is not None:
            telemetry.begin(batch_id, "battle", workflow.id)
        self.stopping: StopError | None = None
        self.stopped = asyncio.Event()
        self.metering = metering
        if metering is not None:
            metering.open(self)
        self._starting = asyncio.Lock()
        self._next_start = 0.0

    async def aclose(self) -> None:
        """End what calls models. Idempotent."""
        if self.metering is not None:
            await self.metering.close()
        await self.llm.aclose()

    @property
    def run_id(self) -> str:
        """As every run's context names it."""
        return self.batch_id

    async def wait_to_start(self) -> None:
        """Return when the next battle may start, or when none may any more.

        Here and not where tasks are made: how long Prefect takes to begin one differs.
        """
        async with self._starting:
            pause = self._next_start - time.monotonic()
            if pause > 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.stopped.wait(), pause)
            delay = self.settings.delay_between_battles_ms / 1000
            self._next_start = time.monotonic() + delay

    @property
    def batch_budget_usd(self) -> float:
        asked = self.request.batch_budget_usd
        return self.settings.batch_budget_usd if asked is None else asked

    @property
    def time_limit_seconds(self) -> float:
        asked = self.request.time_limit_ms
        limit = self.settings.max_training_execution_time_ms
        return (limit if asked is None else min(asked, limit)) / 1000

    @property
    def remaining_seconds(self) -> float:
        """What is left of the batch's time; under 0 when it is over."""
        return self.started + self.time_limit_seconds - time.monotonic()

    @property
    def limits(self) -> Limits:
        """The workflow's limits, with the turn limit that the request asks for."""
        limits, asked = self.workflow.limits, self.request.turn_limit
        return limits if asked is None else limits.model_copy(update={"turn_limit": asked})

    def scope(self, subject: str) -> CallScope:
        """Budgets and rows for a call made now on behalf of `subject`."""
        budgets = {
            f"batch:{self.batch_id}": usd_to_pico(self.batch_budget_usd),
            day_budget_name(simulated=self.simulated): usd_to_pico(self.settings.daily_budget_usd),
        }
        return CallScope(self.batch_id, subject, budgets, self.simulated)

    def seed(self, *parts: object) -> int:
        """A seed for one purpose within this batch."""
        return derived_seed(self.request.seed, *parts)

    def check(self) -> None:
        """Raise if no more work may be started."""
        if self.stopping is not None:
            raise self.stopping

    def stop(self, reason: StopError) -> None:
        """Start no more work; the first reason stands."""
        if self.stopping is None:
            self.stopping = reason
            self.stopped.set()
        # What must hold within a second cuts an agent's calls in flight too.
        if self.metering is not None and isinstance(
            reason, (KillSwitchActiveError, RunCancelledError)
        ):
            self.metering.stop(reason)

    def kill_switch_turned_on(self, reason: str) -> None:
        self.stop(KillSwitchActiveError(reason))
