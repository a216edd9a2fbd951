"""One run in a Dask worker's process: its own database, model client, agent and evaluators."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import socket
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from prefect.client.orchestration import get_client

from cornerman.domain.errors import CornermanError, RunCancelledError, StorageError
from cornerman.domain.training import TrainSpec
from cornerman.flows.engine import Engine, make_context, open_engine
from cornerman.flows.plumbing.embedded import drain_events
from cornerman.flows.plumbing.prefect_private import part
from cornerman.flows.plumbing.tag_limits import begun
from cornerman.flows.session import look
from cornerman.storage import cases as case_rows
from cornerman.storage import ledger, runs
from cornerman.tasks.case import (
    CASE_RETRIES,
    TASK_MARGIN_SECONDS,
    CaseErroredError,
    CaseJob,
    errored_result,
    run_case,
    store_case,
)
from cornerman.tasks.metering import meter_agent
from cornerman.tasks.own_agents import build_agent
from cornerman.tasks.training_context import TrainingContext

T = TypeVar("T")

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.4
_LONGEST_CANCEL_SECONDS = 1.0
# A flow that was killed says no goodbye; what it left open here ends by itself.
_IDLE_SECONDS = 60.0


@dataclass(frozen=True)
class RunTicket:
    """What a worker must know of a run. Keys and passwords are not in it.

    Args:
        owner: The flow's process; a case is stored only while that works on the run.
        simulated: Whether the flow's models are; a worker's must be the same.
        prefect: The flow run's context, so that task runs are shown under it.
    """

    run_id: str
    owner: str
    spec: TrainSpec
    simulated: bool
    prefect: dict[str, Any] = field(repr=False)


class RunHere:
    """Runs a run's cases in this process. Made by `open`, within the loop that it works on."""

    def __init__(
        self, ticket: RunTicket, context: TrainingContext, stack: contextlib.AsyncExitStack
    ) -> None:
        self._ticket = ticket
        self._context = context
        self._stack = stack
        self._in_flight: set[asyncio.Task[None]] = set()
        self._used_at = time.monotonic()
        self._ended = False
        # Task runs belong to the flow run only inside its context.
        self._prefect = contextvars.copy_context()
        timeout = ticket.spec.optimizer.case_timeout_seconds
        self._run_case = run_case.with_options(timeout_seconds=timeout + TASK_MARGIN_SECONDS)

    @classmethod
    async def open(cls, ticket: RunTicket) -> RunHere:
        """Open the run here.

        Raises:
            CornermanError: This worker has another database, other models or no way to Prefect.
        """
        async with contextlib.AsyncExitStack() as stack:
            engine = await stack.enter_async_context(open_engine())
            await _require_same(engine, ticket)
            graph = ticket.spec.graph_config
            metering = meter_agent(graph, engine.settings, engine.endpoint)
            if metering is not None:
                stack.push_async_callback(metering.close)
            agent = build_agent(graph, list(engine.settings.evaluator_modules))
            llm = engine.llm(cache=ticket.spec.cache)
            stack.push_async_callback(llm.aclose)
            context = make_context(
                engine, ticket.spec, ticket.run_id, llm=llm, agent=agent, metering=metering
            )
            context.begin(ticket.owner)
            run = cls(ticket, context, stack)
            await run._enter_prefect()
            watcher = asyncio.create_task(run._watch(), name=f"watch-{ticket.run_id}")
            stack.callback(watcher.cancel)
            run._stack = stack.pop_all()
        return run

    def serves(self, ticket: RunTicket) -> bool:
        """Whether it is open, and for the process that holds the ticket."""
        return not self._ended and self._ticket.owner == ticket.owner

    async def case(self, job: CaseJob) -> CornermanError | None:
        """Run one case; see `run_case_here`."""
        task = asyncio.create_task(self._case(job), context=self._prefect.copy())
        self._in_flight.add(task)
        try:
            await task
        except CornermanError as error:
            return error
        except asyncio.CancelledError:
            return RunCancelledError(f"Run {self._ticket.run_id} was ended.")
        finally:
            self._in_flight.discard(task)
            self._used_at = time.monotonic()
        return None

    async def _case(self, job: CaseJob) -> None:
        # Dask gives the case of a worker that it lost to another one.
        is_stored, is_paying = await self._context.db.read(_left, self._ticket.run_id, job)
        if is_paying:
            settle = ledger.settle_run_calls
            await self._context.db.write(settle, self._ticket.run_id, subject=job.subject)
        if is_stored:
            return
        try:
            await begun(lambda: self._run_case(self._context, job))
        except CaseErroredError as error:
            attempts = 1 + (CASE_RETRIES if error.retried else 0)
            await store_case(self._context, errored_result(job, error, attempts))

    async def end(self) -> None:
        """End what is in flight and let go of everything. Idempotent."""
        if self._ended:
            return
        self._ended = True
        for task in self._in_flight:
            task.cancel()
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=_LONGEST_CANCEL_SECONDS)
        await self._stack.aclose()

    # -- Prefect, and those who end runs

    async def _enter_prefect(self) -> None:
        hydrated = part("hydrated_context")(self._ticket.prefect)
        self._prefect.run(hydrated.__enter__)
        self._stack.callback(self._prefect.run, hydrated.__exit__, None, None, None)
        await self._in_prefect(_require_prefect())
        self._stack.push_async_callback(lambda: self._in_prefect(drain_events()))

    async def _in_prefect(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.create_task(work, context=self._prefect.copy())

    async def _watch(self) -> None:
        """End the run here once it is cancelled, taken over or ended, whoever did it and where."""
        while self._in_flight or time.monotonic() - self._used_at < _IDLE_SECONDS:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                signals, switch = await self._context.db.read(look, self._ticket.run_id)
            except StorageError as error:
                log.warning("Run %s cannot be watched: %s", self._ticket.run_id, error)
                continue
            if switch.active:
                self._context.kill_switch_turned_on(switch.reason)
            if signals is None or signals.owner != self._ticket.owner:
                break
            if signals.cancel_requested_at is not None:
                break
        # Apart, since to end it cancels this very watch.
        self._ending = asyncio.create_task(self.end())


def _left(session: Any, run_id: str, job: CaseJob) -> tuple[bool, bool]:
    """What a lost worker left of a case: whether it is stored, and whether a call is in flight."""
    stored = case_rows.read_case_result(
        session,
        run_id,
        candidate_id=job.candidate.id,
        case_id=job.case.id,
        repeat=job.repeat,
    )
    return stored is not None, ledger.count_calls_in_flight(session, run_id, job.subject) > 0


async def _require_same(engine: Engine, ticket: RunTicket) -> None:
    """Refuse a worker whose environment is not the flow's."""
    where = f"the Dask worker on {socket.gethostname()}"
    hint = "Start Dask's workers with the environment and the .env of whoever starts runs."
    run = await engine.db.read(runs.read_run, ticket.run_id)
    if run is None or run.owner != ticket.owner:
        shown = engine.settings.database_url().shown
        raise CornermanError(
            f"Run {ticket.run_id!r} is not being worked on in the database of {where}: {shown}.",
            hint=hint,
        )
    if engine.simulated != ticket.simulated:
        theirs = "simulated models" if engine.simulated else "real models"
        raise CornermanError(f"The settings of {where} name {theirs}; the run's do not.", hint=hint)


async def _require_prefect() -> None:
    """Refuse a worker that cannot reach the Prefect server that the flow uses."""
    async with get_client() as client:
        error = await client.api_healthcheck()
        if error is not None:
            raise CornermanError(
                f"The Dask worker on {socket.gethostname()} does not reach Prefect at "
                f"{client.api_url}: {error}",
                hint="Start a Prefect server that all machines reach, and set PREFECT_API_URL.",
            )
