"""Cases on a Dask cluster, for runs with `DASK_SCHEDULER` set; see design/dask.md.

The flow still decides, holds the slots and watches; only `run_case` is called elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import uuid
from typing import TYPE_CHECKING, Any, cast

from cornerman.domain.aio import call_in_thread
from cornerman.domain.errors import CornermanError, SettingsError
from cornerman.domain.training.cases import CaseResult
from cornerman.flows.plumbing.dask_run import RunTicket
from cornerman.flows.plumbing.dask_worker import end_run_here, run_case_here
from cornerman.flows.plumbing.embedded import serves_alone
from cornerman.flows.plumbing.prefect_private import part
from cornerman.storage import cases as case_rows
from cornerman.storage import ledger
from cornerman.tasks.case import CaseErroredError
from cornerman.tasks.case_progress import CaseJob
from cornerman.tasks.training_context import TrainingContext

if TYPE_CHECKING:
    from distributed import Client, Future

log = logging.getLogger(__name__)

_CONNECT_SECONDS = 10
_GOODBYE_SECONDS = 1.2


def require_extra() -> None:
    """Refuse DASK_SCHEDULER where the extra is not installed.

    Raises:
        SettingsError: It is not.
    """
    if importlib.util.find_spec("prefect_dask") is None:
        raise SettingsError(
            "DASK_SCHEDULER is set, and the extra dask is not installed.",
            field="DASK_SCHEDULER",
            hint="pip install 'cornerman[dask]', or leave DASK_SCHEDULER unset.",
        )


class DaskCases:
    """Runs one run's cases on a cluster, between `open` and `close`."""

    def __init__(self, context: TrainingContext, address: str) -> None:
        # Here, since it is an extra and takes a second to import.
        from prefect_dask.task_runners import DaskTaskRunner

        options = {"timeout": _CONNECT_SECONDS}
        self._runner = DaskTaskRunner(address=address, client_kwargs=options)
        self._address = address
        self._context = context
        self._closing: asyncio.Task[None] | None = None
        # Set by `open`: the client, and the ticket as the cluster holds it.
        self._client = cast("Client", None)
        self._ticket = cast("Future[RunTicket]", None)

    @classmethod
    async def open(cls, context: TrainingContext) -> DaskCases:
        """Connect to the configured cluster and send the run's request there, once.

        Raises:
            CornermanError: No scheduler answers, or it has no worker.
        """
        made = cls(context, str(context.settings.dask_scheduler))
        ticket = RunTicket(
            context.run_id, context.owner, context.spec, context.simulated, _prefect_context()
        )
        await call_in_thread(made._connect, ticket)
        return made

    def _connect(self, ticket: RunTicket) -> None:
        self._runner.__enter__()
        try:
            self._client = self._runner.client
            self._client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
            self._ticket = self._client.scatter(ticket, broadcast=True)
        except (OSError, TimeoutError) as error:
            self._runner.__exit__(None, None, None)
            raise CornermanError(
                f"Dask gives no worker at {self._address}: {error}",
                hint="Start them: dask scheduler; and, with the same environment as here: "
                f"dask worker {self._address} --nthreads 8",
            ) from error

    async def run_case(self, _context: TrainingContext, job: CaseJob) -> CaseResult:
        """Run one case on some worker and read its row; in place of the task of this name.

        Raises:
            CaseErroredError: It killed the workers that it was given to.
            StopError: The run must start no more work.
            CornermanError: The cluster is gone, or a worker cannot run this run's cases.
        """
        key = f"{job} {uuid.uuid4().hex}"
        future = self._client.submit(run_case_here, self._ticket, job, key=key, pure=False)
        try:
            ended_by = await call_in_thread(self._outcome, future)
        finally:
            # The scheduler forgets it too: what has not begun by now never will.
            future.release()
        if isinstance(ended_by, CaseErroredError):
            # The workers that it killed left their calls' worst case reserved.
            settle = ledger.settle_run_calls
            await self._context.db.write(settle, self._context.run_id, subject=job.subject)
        if ended_by is not None:
            raise ended_by
        return await self._read(job)

    def _outcome(self, future: Future[CornermanError | None]) -> CornermanError | None:
        from distributed import CancelledError, KilledWorker

        try:
            return future.result()
        except KilledWorker as error:
            return CaseErroredError(error)
        except (CancelledError, OSError) as error:
            return CornermanError(
                f"The Dask cluster at {self._address} was lost: {error}",
                hint=f"Continue with: cornerman train --resume {self._context.run_id}",
            )

    async def _read(self, job: CaseJob) -> CaseResult:
        result = await self._context.db.read(
            case_rows.read_case_result,
            self._context.run_id,
            candidate_id=job.candidate.id,
            case_id=job.case.id,
            repeat=job.repeat,
        )
        assert result is not None, f"{job} is stored"
        return result

    async def close(self) -> None:
        """End what is left on the workers, and let go of the cluster. Idempotent."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await call_in_thread(self._client.run, end_run_here, self._context.run_id)
        except Exception as error:  # noqa: BLE001 - the workers see by themselves that it is over
            log.warning("Not every Dask worker heard that the run ends: %r", error)
        # Of workers that died: the living have settled theirs.
        await self._context.db.write(ledger.settle_run_calls, self._context.run_id)
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await call_in_thread(self._runner.__exit__, None, None, None)


def _prefect_context() -> dict[str, Any]:
    """The flow run's context for workers, without the dataset and without keys."""
    context = part("serialize_context")()
    context["flow_run_context"] = context["flow_run_context"] | {"parameters": {}}
    if not serves_alone():
        # Workers have settings of their own; Prefect's may hold a key.
        context["settings_context"] = {}
    return context
