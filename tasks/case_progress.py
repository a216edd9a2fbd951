"""How far a case has come, and what its agent may use meanwhile: model calls on its budget."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cornerman.clients.llm_types import NOTABLE
from cornerman.domain.aio import Deadline
from cornerman.domain.errors import CornermanError
from cornerman.domain.money.ledger import Role
from cornerman.domain.runs import case_subject
from cornerman.domain.traces import PromptFinder
from cornerman.domain.training.candidates import Candidate
from cornerman.domain.training.cases import Case, Split
from cornerman.tasks.agent import AgentContext, Calls
from cornerman.tasks.agent_chat import AgentChat
from cornerman.tasks.training_context import TrainingContext

if TYPE_CHECKING:
    from cornerman.meter.accounts import CaseKey


class CaseJob:
    """Which case to run for which candidate; opaque to Prefect, as `TrainingContext` is."""

    def __init__(
        self, candidate: Candidate, case: Case, split: Split, epoch: int, repeat: int = 0
    ) -> None:
        self.candidate = candidate
        self.case = case
        self.split: Split = split
        self.epoch = epoch
        self.repeat = repeat
        # Whether the flow took a slot for it before its task began.
        self.has_slot = False

    @property
    def subject(self) -> str:
        return case_subject(self.candidate.id, self.case.id, self.repeat)

    @cached_property
    def prompt_finder(self) -> PromptFinder:
        """Tells which of the candidate's prompts are in a call."""
        return PromptFinder({name: p.text for name, p in self.candidate.prompts.items()})

    def __str__(self) -> str:
        """The task run's name."""
        repeat = f" repeat {self.repeat}" if self.repeat else ""
        return f"{self.candidate.id} case {self.case.id}{repeat}"


class CaseOverError(CornermanError):
    """A case that was told to stop, and went on, asked for a model call."""


@dataclass
class CaseProgress:
    """How far a case came before its time was up, and whether it has ended."""

    deadline: Deadline
    output: Any = None
    is_over: bool = False
    is_well: bool = False
    finish_reason: str | None = None
    keys: list[CaseKey] = field(default_factory=list["CaseKey"])

    async def close_keys(self) -> None:
        """End what the agent's own client may call; its calls are booked when this returns."""
        for key in self.keys:
            await key.close(drain=self.is_well)

    def note_finish(self, reason: str | None) -> None:
        """Keep how the agent's last answer ended, where that is worth knowing."""
        self.finish_reason = reason if reason in NOTABLE else None

    def require_in_budget(self) -> None:
        """Raise what refused a call of the agent, whatever it made of that.

        Raises:
            StopError: A call did not fit.
        """
        for key in self.keys:
            if key.refused is not None:
                raise key.refused

    def require_open(self) -> None:
        """Refuse what a case that ignores its cancellation still wants; its money is counted.

        Raises:
            CaseOverError: Its time is up.
        """
        if self.is_over or self.deadline.remaining <= 0:
            raise CaseOverError("The case's time is up; it can make no more model calls.")


def open_key(
    context: TrainingContext, job: CaseJob, progress: CaseProgress, role: Role
) -> CaseKey | None:
    """What the user's code calls models with; None where the run's agent has no code."""
    if context.metering is None:
        return None
    key = context.metering.key(
        job.subject,
        prompts=job.prompt_finder if role == "agent" else None,
        extend=progress.deadline.extend,
        role=role,
    )
    progress.keys.append(key)
    return key


def agent_context(
    context: TrainingContext, job: CaseJob, progress: CaseProgress, key: CaseKey | None
) -> AgentContext:
    chat = AgentChat(
        context.llm,
        context.settings,
        lambda: context.scope(job.subject),
        seed=(context.spec.optimizer.seed, job.subject),
        finder=job.prompt_finder,
        timeout_seconds=context.spec.optimizer.case_timeout_seconds,
        require_open=progress.require_open,
        finished=progress.note_finish,
    )
    return AgentContext(
        run_id=context.run_id,
        case_id=job.case.id,
        candidate_id=job.candidate.id,
        epoch=job.epoch,
        chat=chat,
        timeout_seconds=context.spec.optimizer.case_timeout_seconds,
        calls=Calls(
            context.llm,
            context.scope(job.subject),
            context.settings,
            heard=key.take_traces if key else None,
        ),
        base_url=context.metering.server.openai_url if context.metering else "",
        api_key=key.token if key else "",
        anthropic_base_url=context.metering.server.anthropic_url if context.metering else "",
    )
