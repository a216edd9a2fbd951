"""A case's job, its result as it is recorded, and its event.

One case: the agent's call, its evaluators, one row and one event.
"""

from __future__ import annotations

import time
import traceback
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from cornerman.domain.aio import Deadline, TimeUpError, within
from cornerman.domain.errors import CornermanError, StopError
from cornerman.domain.money import pico_to_usd
from cornerman.domain.money.ledger import CallScope
from cornerman.domain.runs import NODES, NewEvent, RunKind, case_subject, case_thread
from cornerman.domain.secrets import redact, redact_json
from cornerman.domain.statistics import weighted_score
from cornerman.domain.traces import replaying
from cornerman.domain.training.cases import (
    Case,
    CaseError,
    CaseResult,
    EvaluationContext,
    Score,
)
from cornerman.domain.training.outputs import read_output
from cornerman.storage import cases as case_rows
from cornerman.storage import events, runs, traces
from cornerman.tasks.agent import isolated, prompts_for_agent
from cornerman.tasks.case_progress import (
    CaseJob,
    CaseProgress,
    agent_context,
    open_key,
)
from cornerman.tasks.judge import judging
from cornerman.tasks.meter import telling_waits
from cornerman.tasks.metering import calling_for
from cornerman.tasks.telemetry import Telemetry
from cornerman.tasks.training_context import TrainingContext

_STACK_LIMIT = 4_000


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
    subject = case_subject(result.candidate_id, result.case.id, result.repeat)
    traces.forget_replays(session, context.run_id, subject)
    # The row is unique, so the event needs no key of its own to be written once.
    if case_rows.create_case_result(session, context.run_id, result):
        events.create_event(session, context.run_id, progress_event(result, context.kind))


def progress_event(result: CaseResult, kind: RunKind = "train") -> NewEvent:
    """The event of a finished case of a run of that kind."""
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
        "finish_reason": result.finish_reason,
    }
    name = "evaluation_progress" if kind == "evaluate" else "training_progress"
    return NewEvent(NODES[kind], name, payload)


CASE_RETRIES = 2
# The case's own time-out is exact and leaves out waiting for a slot or for money; the task's is
# the backstop behind it.
TASK_MARGIN_SECONDS = 600.0


async def _retry_condition(_task: Task[Any, Any], _run: TaskRun, state: State[Any]) -> bool:
    try:
        await state.aresult(raise_on_failure=True)
    except CaseErroredError as error:
        return is_retryable(error)
    except BaseException:  # noqa: BLE001 - anything else is not ours to retry
        return False
    return False


@task(
    name="case",
    task_run_name="{job}",
    tags=["agent-case"],
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=CASE_RETRIES,
    retry_delay_seconds=[0.5, 2.0],
    retry_condition_fn=_retry_condition,
)
async def run_case(context: TrainingContext, job: CaseJob) -> CaseResult:
    """Run one case and store its result and its event in one transaction.

    A time-out is a result, and so is an error that will not be retried again by the flow.

    Raises:
        CaseErroredError: The case has no score; the flow stores it once retries are used up.
        StopError: The run must start no more work.
    """
    async with nullcontext() if job.has_slot else context.slots:
        context.check()
        began, started = time.time(), time.perf_counter()
        try:
            result = await _attempt(context, job, started)
        except StopError as stop:
            context.stop(stop)
            raise
    # The next case has the slot by now: what is left is bookkeeping, no call and no user's code.
    stored = await store_case(context, result)
    if context.telemetry is not None:
        await _tell_telemetry(context, context.telemetry, job, stored, began)
    return stored


async def _tell_telemetry(
    context: TrainingContext, telemetry: Telemetry, job: CaseJob, result: CaseResult, began: float
) -> None:
    facts: dict[str, Any] = {
        "cornerman.case.id": job.case.id,
        "cornerman.candidate.id": job.candidate.id,
        "cornerman.status": result.status,
        "cornerman.cost_usd": result.cost_usd,
    }
    if result.score is not None:
        facts["cornerman.score"] = result.score
    await telemetry.ended(
        context.run_id,
        job.subject,
        name=context.spec.workflow_id,
        conversation=case_thread(context.run_id, job.candidate.id, job.case.id),
        began=began,
        facts=facts,
        error=None if result.error is None else f"{result.error.type}: {result.error.message}",
    )


async def _attempt(context: TrainingContext, job: CaseJob, started: float) -> CaseResult:
    timeout = context.spec.optimizer.case_timeout_seconds
    deadline = Deadline(timeout)
    progress = CaseProgress(deadline)
    try:
        queue = await context.replays(job.subject)
        with telling_waits(deadline.extend), replaying(queue):
            evaluations = await within(deadline, _answer_and_score(context, job, progress))
        progress.is_well = True
    except TimeUpError:
        return _timed_out(job, progress, timeout, started)
    except StopError:
        raise
    except Exception as error:  # noqa: BLE001 - users' code may raise anything
        if deadline.remaining <= 0:
            return _timed_out(job, progress, timeout, started)
        # Without its cause: what is logged of it must not quote a secret.
        raise CaseErroredError(error, progress.output) from None
    finally:
        progress.is_over = True
        await progress.close_keys()
    weights = context.spec.weights
    return CaseResult(
        case=job.case,
        candidate_id=job.candidate.id,
        split=job.split,
        epoch=job.epoch,
        status="scored",
        score=weighted_score(evaluations, weights),
        output=progress.output,
        evaluations=evaluations,
        duration_ms=_elapsed_ms(started),
        repeat=job.repeat,
        finish_reason=progress.finish_reason,
    )


async def _answer_and_score(
    context: TrainingContext, job: CaseJob, progress: CaseProgress
) -> dict[str, Score]:
    key = open_key(context, job, progress, "agent")
    began = time.perf_counter()
    prompts = prompts_for_agent(job.candidate.prompts)
    try:
        with calling_for(key):
            output = await context.agent(
                isolated(job.case.inputs),
                prompts,
                agent_context(context, job, progress, key),
            )
    finally:
        progress.require_in_budget()
    progress.require_open()
    if key is not None and key.calls:
        progress.note_finish(key.finish_reason)
    trainable = {name for name, p in job.candidate.prompts.items() if p.requires_grad}
    context.note_prompts(trainable, prompts.read | (key.prompts_seen if key else set()))
    said = read_output(output)
    progress.output = redact_json(said.value)
    state = redact_json(said.whole)
    duration_ms = _elapsed_ms(began)

    def scope() -> CallScope:
        progress.require_open()
        return context.scope(job.subject)

    scores = dict[str, Score]()
    own = open_key(context, job, progress, "judge") if context.evaluators else None
    with judging(scope), calling_for(own):
        for name, evaluate in context.evaluators.items():
            score = await evaluate(_evaluated(job.case, progress.output, state, duration_ms))
            scores[name] = replace(score, reason=score.reason and redact(score.reason))
    progress.require_in_budget()
    return scores


def _evaluated(case: Case, output: Any, state: Any, duration_ms: float) -> EvaluationContext:
    """What one evaluator gets: copies, so that it can spoil nothing for the next one."""
    return EvaluationContext(
        inputs=isolated(case.inputs),
        output=isolated(output),
        expected_output=isolated(case.expected_output),
        metadata=isolated(case.metadata),
        duration_ms=duration_ms,
        state=isolated(state),
    )


def _elapsed_ms(started: float) -> float:
    return (time.perf_counter() - started) * 1000


def _timed_out(job: CaseJob, progress: CaseProgress, timeout: float, started: float) -> CaseResult:
    message = f"No answer within case_timeout_seconds of {timeout:g}."
    return CaseResult(
        case=job.case,
        candidate_id=job.candidate.id,
        split=job.split,
        epoch=job.epoch,
        status="timed_out",
        score=0.0,
        output=progress.output,
        error=CaseError("TimeoutError", message),
        duration_ms=_elapsed_ms(started),
        repeat=job.repeat,
    )
