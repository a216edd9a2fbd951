"""A case's job, its result as it is recorded, and its event."""

from __future__ import annotations

import traceback
from dataclasses import replace
from typing import Any

from cornerman.storage import cases as case_rows
from cornerman.storage import events, runs
from cornerman.tasks.training_context import TrainingContext, case_subject

from cornerman.domain.candidates import Candidate
from cornerman.domain.cases import Case, CaseError, CaseResult, Split
from cornerman.domain.errors import CornermanError
from cornerman.domain.money import pico_to_usd
from cornerman.domain.runs import NewEvent
from cornerman.domain.secrets import redact

_STACK_LIMIT = 4_000


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

    def __str__(self) -> str:
        """The task run's name."""
        repeat = f" repeat {self.repeat}" if self.repeat else ""
        return f"{self.candidate.id} case {self.case.id}{repeat}"


class CaseErroredError(CornermanError):
    """A case that could not be scored; carried to the retry policy, never to the user."""

    def __init__(self, error: BaseException, output: Any = None) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.error = error
        self.output = output

    @property
    def retried(self) -> bool:
        """Whether the retry policy tried the case again before giving up."""
        return is_retryable(self)


def is_retryable(error: BaseException) -> bool:
    """Whether the same case may go well later: a model's or a network's hiccup may, a bug not."""
    cause = error.error if isinstance(error, CaseErroredError) else error
    if isinstance(cause, CornermanError):
        # Errors of models, agents behind HTTP and evaluators say so themselves.
        return bool(getattr(cause, "retryable", False))
    return isinstance(cause, (ConnectionError, TimeoutError))


def errored_result(job: CaseJob, error: CaseErroredError, attempts: int) -> CaseResult:
    """The record of a case whose retries are used up."""
    cause = error.error
    # An evaluator's failure carries the error of the user's own code.
    kind = getattr(cause, "error_type", None) or type(cause).__name__
    stack = getattr(cause, "stack", None) or "".join(traceback.format_exception(cause))
    return CaseResult(
        case=job.case,
        candidate_id=job.candidate.id,
        split=job.split,
        epoch=job.epoch,
        status="errored",
        score=None,
        output=error.output,
        # Redacted before it is cut: half a secret is not recognised.
        error=CaseError(
            kind,
            redact(str(cause))[:_STACK_LIMIT],
            redact(stack)[-_STACK_LIMIT:],
            is_retryable(error),
        ),
        attempts=attempts,
        repeat=job.repeat,
    )


async def store_case(context: TrainingContext, result: CaseResult) -> CaseResult:
    """Add what the case cost, then store its row and its event together."""
    subject = case_subject(result.candidate_id, result.case.id, result.repeat)
    tally = context.meter.take_tally(context.run_id, subject)
    booked = replace(result, cost_usd=pico_to_usd(tally.cost_pico), model_calls=tally.calls)
    await context.db.write(_store, context, booked)
    return booked


def _store(session: Any, context: TrainingContext, result: CaseResult) -> None:
    runs.require_held(session, context.run_id, context.owner)
    # The row is unique, so the event needs no key of its own to be written once.
    if case_rows.create_case_result(session, context.run_id, result):
        events.create_event(session, context.run_id, progress_event(result))


def progress_event(result: CaseResult) -> NewEvent:
    """The event of a finished case."""
    error = result.error
    payload = {
        "case_index": result.case.index,
        "case_id": result.case.id,
        "epoch": result.epoch,
        "status": result.status,
        "inputs": result.case.inputs,
        "output": result.output,
        "evaluations": {name: score.as_dict() for name, score in result.evaluations.items()},
        "error": None if error is None else {"type": error.type, "message": error.message},
        "duration_ms": result.duration_ms,
        "cost_usd": result.cost_usd,
        "score": result.score,
        "candidate_id": result.candidate_id,
        "split": result.split,
        "repeat": result.repeat,
    }
    return NewEvent("agentensor_trainer", "training_progress", payload)
