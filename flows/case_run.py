"""What runs that score cases share, be it to train or to evaluate.

Such a run from its claim to its end: whatever ends it, its result is stored and it is let go of.
"""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from prefect.runtime import flow_run

from cornerman.clients.llm import LLM
from cornerman.domain.datasets.load import DatasetSplit
from cornerman.domain.errors import CornermanError, RunCancelledError, StopError
from cornerman.domain.heap import heap_at_rest
from cornerman.domain.runs import NODES, NewEvent, Run, RunStatus
from cornerman.domain.secrets import redact
from cornerman.domain.training import TrainParameters
from cornerman.domain.training.cases import CaseResult
from cornerman.domain.training.evaluation import EvaluateParameters
from cornerman.domain.training.parse import shown_request
from cornerman.flows.lab import TrainingLab
from cornerman.flows.plumbing.embedded import ServedFlow
from cornerman.flows.plumbing.tag_limits import is_limited
from cornerman.flows.session import RunSession, run_session
from cornerman.storage import cases, events, runs
from cornerman.storage.database import Database
from cornerman.tasks.slots import CASE_TAG
from cornerman.tasks.training_context import TrainingContext

if TYPE_CHECKING:
    from cornerman.flows.plumbing.dask_cases import DaskCases


class CaseRun:
    """The parts of one run and what is done with them at its beginning and its end."""

    def __init__(
        self,
        *,
        context: TrainingContext,
        llm: LLM,
        split: DatasetSplit,
        dataset_id: str,
        stored: Run,
    ) -> None:
        self.context = context
        self.llm = llm
        self.split = split
        self.dataset_id = dataset_id
        self.lab = TrainingLab(context, split)
        self.stored = stored
        self._elsewhere: DaskCases | None = None

    async def begin(self, owner: str, before: Run) -> None:
        """Start to work on the run, in this process's name.

        A run that failed gets another chance at the cases that failed it.

        Args:
            before: The run as it was before this process claimed it.
        """
        self.context.begin(owner)
        self.context.may_replay = before.started_at is not None
        self.context.slots.before_tasks = await is_limited(CASE_TAG)
        await self.context.slots.open(owner)
        if before.status == "failed":
            done = int(before.random_state.get("epoch", 0))
            await self.context.db.write(
                cases.delete_errored_results, self.context.run_id, after_epoch=done
            )

    async def open_lab(self) -> None:
        """Find what earlier attempts stored, and the cluster if cases run on one."""
        if self.context.settings.dask_scheduler is not None:
            await self._run_cases_elsewhere()
        await self.lab.load()

    async def _run_cases_elsewhere(self) -> None:
        from cornerman.flows.plumbing.dask_cases import DaskCases

        self._elsewhere = await DaskCases.open(self.context)
        # A slot is held while a case waits for a worker, as the worker itself takes none.
        self.context.slots.before_tasks = True
        self.lab.run_cases_by(self._elsewhere.run_case)

    async def close(self) -> None:
        """Let go of slots, of the model client and of a cluster."""
        if self._elsewhere is not None:
            await self._elsewhere.close()
        await self.context.slots.close()
        if self.context.metering is not None:
            await self.context.metering.close()
        await self.llm.aclose()


RunT = TypeVar("RunT", bound=CaseRun)
RunT_contra = TypeVar("RunT_contra", bound=CaseRun, contravariant=True)


class End(Protocol[RunT_contra]):
    """Stores a run's result and its end; returns the result."""

    async def __call__(
        self,
        run: RunT_contra,
        /,
        *,
        stop: StopError | None = None,
        error: Exception | None = None,
    ) -> dict[str, Any]: ...


async def work_on(
    db: Database, run: RunT, steps: Callable[[RunT], Awaitable[None]], end: End[RunT]
) -> dict[str, Any]:
    """Claim a run that is stored, take its steps and end it, however they end.

    Raises:
        ConflictError: A living process works on this run.
        CornermanError: The run failed; what it has is kept.
    """
    flow_run_id = str(flow_run.id)
    try:
        async with run_session(db, run.context.run_id, flow_run_id=flow_run_id) as session:
            await run.begin(session.owner, session.run)
            with heap_at_rest():
                return await _to_its_end(run, session, steps, end)
    finally:
        await run.close()


async def _to_its_end(
    run: RunT,
    session: RunSession,
    steps: Callable[[RunT], Awaitable[None]],
    end: End[RunT],
) -> dict[str, Any]:
    try:
        stop = await session.guard(_stopped(run, session, steps))
    except StopError as cancelled:
        stop = cancelled
    except asyncio.CancelledError:
        # Whoever awaits the run gives up, such as by Ctrl-C: it must not seem to go on.
        stop = RunCancelledError("The process was told to stop.")
        await asyncio.shield(end(run, stop=stop))
        raise
    except Exception as error:
        if session.lost is None:
            await end(run, error=error)
        if redact(str(error)) != str(error):
            # Prefect keeps and logs what a flow raises.
            raise CornermanError(f"{type(error).__name__}: {error}") from None
        raise
    return await end(run, stop=stop)


async def _stopped(
    run: RunT, session: RunSession, steps: Callable[[RunT], Awaitable[None]]
) -> StopError | None:
    """Take the steps; return what stopped them early, if anything."""
    session.on_kill_switch(run.context.kill_switch_turned_on)
    try:
        await steps(run)
    except StopError as stop:
        return stop
    finally:
        await run.close()
    return None


STATUS: dict[str, RunStatus] = {
    "cancelled": "cancelled",
    "budget": "stopped",
    "kill_switch": "stopped",
}


def error_facts(error: Exception) -> dict[str, Any]:
    """What a run's row keeps of the error that failed it."""
    return {
        "type": type(error).__name__,
        "message": redact(str(error)),
        "hint": error.hint if isinstance(error, CornermanError) else "",
        "stack": redact("".join(traceback.format_exception(error)))[-8_000:],
    }


def finish(
    session: Any,
    context: TrainingContext,
    event: str,
    status: RunStatus,
    stopped_by: str | None,
    result: dict[str, Any],
    error: dict[str, Any] | None,
) -> None:
    """Store a run's result, its last event and its end, in one transaction.

    Raises:
        ConflictError: Another process has taken the run over.
    """
    run_id = context.run_id
    runs.require_held(session, run_id, context.owner)
    before = runs.read_run(session, run_id)
    # A finished run that is resumed and has nothing more to do tells nothing twice.
    if before is None or before.result != json.loads(json.dumps(result)):
        events.create_event(session, run_id, NewEvent(NODES[context.kind], event, result))
    runs.finish_run(
        session, run_id, status=status, stopped_by=stopped_by, result=result, error=error
    )


def result_line(result: CaseResult) -> dict[str, Any]:
    """A case in a run's result."""
    return {
        "case_index": result.case.index,
        "case_id": result.case.id,
        "split": result.split,
        "repeat": result.repeat,
        "status": result.status,
        "score": result.score,
        "inputs": result.case.inputs,
        "expected_output": result.case.expected_output,
        "output": result.output,
        "evaluations": {name: score.as_dict() for name, score in result.evaluations.items()},
        "error": None if result.error is None else result.error.message,
        "duration_ms": result.duration_ms,
        "cost_usd": result.cost_usd,
        "finish_reason": result.finish_reason,
    }


class RequestFlow(ServedFlow[Any, Any]):
    """Shows Prefect the request without its secrets, and without a large dataset's cases."""

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        given = parameters.get("parameters")
        if isinstance(given, (TrainParameters, EvaluateParameters)):
            return {"parameters": shown_request(given)}
        return super().serialize_parameters(parameters)
