"""What the tasks of one run that scores cases share: database, model client, agent, evaluators.

A plain object on purpose: Prefect walks through dataclasses and mappings that are handed to a
task, and would visit the whole dataset for each case.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from cornerman.clients.llm import LLM
from cornerman.domain.errors import (
    BadInputError,
    CornermanError,
    KillSwitchActiveError,
    RunCancelledError,
    StopError,
)
from cornerman.domain.money import usd_to_pico
from cornerman.domain.money.ledger import CallScope
from cornerman.domain.runs import RunKind
from cornerman.domain.traces import ReplayQueue
from cornerman.domain.training import TrainSpec
from cornerman.evaluators.base import Evaluator
from cornerman.settings import Settings
from cornerman.storage import traces
from cornerman.storage.database import Database
from cornerman.tasks.agent import Agent
from cornerman.tasks.meter import DatabaseMeter
from cornerman.tasks.metering import AgentMetering
from cornerman.tasks.slots import CASE_TAG, SharedSlots
from cornerman.tasks.telemetry import Telemetry

# A million USD: more than any run, and far inside the databases' integers.
NO_LIMIT_PICO = 10**18


# After so many cases an agent that has read no trainable prompt is told so.
_FIRST_CASES = 4


class TimeUpError(StopError):
    """The run's own time limit has passed."""

    stopped_by = "max_seconds"
    exit_code = 0


def day_budget_name(*, simulated: bool) -> str:
    """Name of today's budget (UTC). Play money has a day of its own."""
    day = datetime.now(UTC).date().isoformat()
    return f"day:{day}:simulated" if simulated else f"day:{day}"


class TrainingContext:
    """Shared by all tasks of one training run, in one process."""

    def __init__(
        self,
        *,
        run_id: str,
        spec: TrainSpec,
        settings: Settings,
        db: Database,
        llm: LLM,
        meter: DatabaseMeter,
        agent: Agent,
        evaluators: Mapping[str, Evaluator],
        simulated: bool,
        metering: AgentMetering | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.run_id = run_id
        self.spec = spec
        self.settings = settings
        self.db = db
        self.llm = llm
        self.meter = meter
        self.agent = agent
        self.evaluators = evaluators
        self.simulated = simulated
        # Names of prompts that the agent has read, or that were in its calls.
        self.prompts_read = set[str]()
        self.trainable: set[str] = set()
        self._answered = 0
        # Whether an earlier process may have left cases with calls that were answered.
        self.may_replay = True
        self._begun = set[str]()
        self.telemetry = telemetry
        # None where the agent calls by `context.chat` alone.
        self.metering = metering
        if metering is not None:
            metering.open(self)
        # The process that works on the run; see `begin`.
        self.owner = ""
        self.cases_at_once = spec.optimizer.cases_at_once(settings.max_concurrent_cases)
        self.slots = SharedSlots(
            db, CASE_TAG, most=self.cases_at_once, total=settings.max_concurrent_cases
        )
        self.stopping: CornermanError | None = None
        self._deadline: float | None = None

    @property
    def kind(self) -> RunKind:
        """Whether the run trains or evaluates."""
        return self.spec.kind

    def begin(self, owner: str) -> None:
        """Work in this process's name from now on; the run's own time limit starts here."""
        self.owner = owner
        if self.telemetry is not None:
            self.telemetry.begin(self.run_id, self.kind, self.spec.workflow_id)
        if self.spec.optimizer.max_seconds is not None:
            self._deadline = time.monotonic() + self.spec.optimizer.max_seconds

    def scope(self, subject: str) -> CallScope:
        """Budgets and rows for a call made now on behalf of `subject`."""
        limit = self.spec.optimizer.max_cost_usd
        budgets = {
            day_budget_name(simulated=self.simulated): usd_to_pico(self.settings.daily_budget_usd),
            # Booked without a limit too: the run may be resumed with one.
            f"run:{self.run_id}": NO_LIMIT_PICO if limit is None else usd_to_pico(limit),
        }
        return CallScope(self.run_id, subject, budgets, self.simulated)

    def check(self) -> None:
        """Raise if no more work may be started.

        Raises:
            StopError: A budget is spent, the time is up, the kill-switch is on, or the run was
                cancelled.
            CornermanError: The run has failed already.
        """
        if self.stopping is not None:
            raise self.stopping
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self.stop(TimeUpError(f"{self.spec.optimizer.max_seconds:g} seconds are over."))
            self.check()

    def stop(self, reason: CornermanError) -> None:
        """Start no more work; the first reason stands."""
        if self.stopping is None:
            self.stopping = reason
        # What must hold within a second cuts calls in flight too; a budget lets them end.
        if self.metering is not None and isinstance(
            reason, (KillSwitchActiveError, RunCancelledError)
        ):
            self.metering.stop(reason)

    async def replays(self, subject: str) -> ReplayQueue:
        """What a case's calls were answered before its process died; empty for a new one.

        A case that is tried again in one process has failed, perhaps for what it was answered.
        """
        if subject in self._begun:
            await self.db.write(traces.forget_replays, self.run_id, subject)
            return ReplayQueue()
        self._begun.add(subject)
        if not self.may_replay:
            return ReplayQueue()
        return ReplayQueue(await self.db.read(traces.read_replays, self.run_id, subject))

    def note_prompts(self, trainable: set[str], read: set[str]) -> None:
        """Note what one case's agent has read; an agent that reads nothing cannot be trained.

        Raises:
            BadInputError: None of the first cases has read any of the trainable prompts.
        """
        self.trainable |= trainable
        self.prompts_read |= read
        self._answered += 1
        graph = self.spec.graph_config
        if graph is None or graph.entrypoint is None or self._answered != _FIRST_CASES:
            return
        if self.spec.optimizer.epochs == 1:
            return  # nothing is rewritten: scores are all that is asked for
        if not self.trainable & self.prompts_read:
            names = ", ".join(sorted(self.trainable))
            self.stop(
                BadInputError(
                    f"graph_config.entrypoint: {graph.entrypoint!r} has read none of the trainable "
                    f"prompts ({names}) in its first {_FIRST_CASES} cases, so rewriting them "
                    "would change nothing.",
                    field="graph_config.entrypoint",
                    hint='Read them: prompts["NAME"], or config["configurable"]["prompts"] in '
                    "a LangGraph node.",
                )
            )

    def kill_switch_turned_on(self, reason: str) -> None:
        self.stop(KillSwitchActiveError(reason))


def texts_of(messages: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Messages as a call takes them."""
    return tuple(dict(message) for message in messages)
