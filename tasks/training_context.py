"""What the tasks of one training run share: database, model client, agent, evaluators.

A plain object on purpose: Prefect walks through dataclasses and mappings that are handed to a
task, and would visit the whole dataset for each case.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from cornerman.clients.llm import LLM
from cornerman.domain.errors import CornermanError, KillSwitchActiveError, StopError
from cornerman.domain.money import usd_to_pico
from cornerman.domain.money.ledger import CallScope
from cornerman.domain.training import TrainParameters
from cornerman.evaluators.base import Evaluator
from cornerman.settings import Settings
from cornerman.storage.database import Database
from cornerman.tasks.agent import Agent
from cornerman.tasks.meter import DatabaseMeter
from cornerman.tasks.slots import CASE_TAG, SharedSlots

# A million USD: more than any run, and far inside the databases' integers.
NO_LIMIT_PICO = 10**18


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
        spec: TrainParameters,
        settings: Settings,
        db: Database,
        llm: LLM,
        meter: DatabaseMeter,
        agent: Agent,
        evaluators: Mapping[str, Evaluator],
        simulated: bool,
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
        # The process that works on the run; see `begin`.
        self.owner = ""
        self.cases_at_once = spec.optimizer.cases_at_once(settings.max_concurrent_cases)
        self.slots = SharedSlots(
            db, CASE_TAG, most=self.cases_at_once, total=settings.max_concurrent_cases
        )
        self.stopping: CornermanError | None = None
        self._deadline: float | None = None

    def begin(self, owner: str) -> None:
        """Work in this process's name from now on; the run's own time limit starts here."""
        self.owner = owner
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

    def kill_switch_turned_on(self, reason: str) -> None:
        self.stop(KillSwitchActiveError(reason))


def case_subject(candidate_id: str, case_id: str, repeat: int) -> str:
    """The ledger's name for one case of one candidate."""
    return f"case:{candidate_id}/{case_id}/{repeat}"


def texts_of(messages: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Messages as a call takes them."""
    return tuple(dict(message) for message in messages)
