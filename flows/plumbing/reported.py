"""What the Prefect UI shows of a run besides its tasks: progress, curve, figures, a link.

What a flow tells the Prefect server besides its tasks: artifacts, events and why it ended.

Only a server that outlives the run is told; the embedded one shows nobody anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import json
import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Literal, TypeVar

from prefect.artifacts import (
    acreate_link_artifact,
    acreate_markdown_artifact,
    acreate_progress_artifact,
    acreate_table_artifact,
    aupdate_progress_artifact,
)
from prefect.client.schemas.objects import State, StateType
from prefect.events import emit_event
from prefect.runtime import flow_run

from cornerman.domain.battles.request import BattleParameters
from cornerman.domain.errors import ConflictError, StopError
from cornerman.domain.runs import Run
from cornerman.flows.engine import open_database, own_id
from cornerman.flows.plumbing.embedded import serves_alone
from cornerman.flows.plumbing.processes import end_with_worker
from cornerman.flows.plumbing.server_state import battle_parameters, is_deployed
from cornerman.settings import get_settings
from cornerman.storage import runs
from cornerman.storage.database import Database

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 3.0
_LAST_LOOK_SECONDS = 3.0


def artifact_key(*parts: str) -> str:
    """A key as Prefect wants it: small letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


@contextlib.asynccontextmanager
async def progress_shown(run_id: str) -> AsyncGenerator[None]:
    """Keep a progress artifact of a run up to date; what goes wrong with it is only logged."""
    async with open_database() as db:
        progress = _Progress(db, run_id)
        watching = asyncio.create_task(progress.follow(), name=f"progress-{run_id}")
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            # Where the run ended, which is later than the last look.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(progress.show(), _LAST_LOOK_SECONDS)


class _Progress:
    """The progress artifact of one run, created once there is such a run."""

    def __init__(self, db: Database, run_id: str) -> None:
        self._db = db
        self._run_id = run_id
        self._artifact: Any = None

    async def follow(self) -> None:
        """Show how far the run is until cancelled."""
        while True:
            await self.show()
            await asyncio.sleep(PROGRESS_SECONDS)

    async def show(self) -> None:
        """Show how far the run is now."""
        try:
            run = await self._db.read(runs.read_run, self._run_id)
            if run is not None:
                await self._put(run)
        except Exception as error:  # noqa: BLE001 - the run matters more than its picture
            log.warning("The progress of run %s cannot be shown: %s", self._run_id, error)

    async def _put(self, run: Run) -> None:
        percent = progress_percent(run)
        if self._artifact is None:
            key = artifact_key("progress", run.kind, run.workflow_id)
            made = acreate_progress_artifact(percent, key=key, description=f"Run {run.id}")
            self._artifact = await made
        else:
            await aupdate_progress_artifact(self._artifact, percent)


def progress_percent(run: Run) -> float:
    """How far a run is, 0 to 100, by its own figures."""
    figures = run.metrics
    if run.finished:
        return 100.0
    if run.kind == "train":
        done, total = figures.get("epoch", 0), run.request.get("optimizer", {}).get("epochs", 0)
    elif run.kind == "evaluate":
        # An event a case: see LAST_SEQ for why nothing else counts them.
        done, total = run.last_seq, figures.get("cases_total", 0)
    else:
        done, total = figures.get("battles_done", 0), figures.get("battles_total", 0)
    return round(min(100.0, 100 * done / total), 1) if total else 0.0


async def publish(run_id: str) -> None:
    """Create the artifacts of a run that ended; what goes wrong with them is only logged."""
    try:
        async with open_database() as db:
            run = await db.read(runs.read_run, run_id)
            if run is not None and run.kind != "scout":
                await _publish(db, run)
    except Exception:
        log.exception("The artifacts of run %s were not created", run_id)


async def _publish(db: Database, run: Run) -> None:
    # Here, since a run under an embedded server reports nothing.
    from cornerman.report.evaluation import evaluation_rows
    from cornerman.report.markdown import (
        batch_markdown,
        batch_rows,
        evaluation_markdown,
        training_markdown,
        training_rows,
    )
    from cornerman.tasks.report import build_report

    report = await build_report(db, run.id)
    if report.training is not None:
        text = training_markdown(report.training, simulated=report.simulated)
        rows, name = training_rows(report.training), "learning-curve"
    elif report.evaluation is not None:
        text = evaluation_markdown(report.evaluation, simulated=report.simulated)
        rows, name = evaluation_rows(report.evaluation), "evaluation"
    elif report.battles is not None:
        text = batch_markdown(report.battles, simulated=report.simulated)
        rows, name = batch_rows(report.battles), "battle-batch"
    else:
        return
    key = artifact_key(name, run.workflow_id)
    await acreate_markdown_artifact(text, key=key, description=f"Run {run.id}")
    await acreate_table_artifact(
        json.loads(json.dumps(rows)), key=f"{key}-table", description=f"Run {run.id}"
    )
    address = get_settings().next_public_app_url
    if address is not None:
        link = f"{address}/admin/training-monitor"
        await acreate_link_artifact(
            link, link_text="Training monitor", key="training-monitor", description="Watch it live"
        )


Kind = Literal["training", "evaluation", "batch", "scout", "retrain"]
P = TypeVar("P")
Work = Callable[[P], Awaitable[dict[str, Any]]]

_PREFIX: dict[Kind, str] = {
    "training": "train",
    "evaluation": "evaluate",
    "batch": "batch",
    "scout": "scout",
}
STATE_NAMES = {
    "budget": "BudgetStopped",
    "kill_switch": "KillSwitch",
    "timeout": "TimedOut",
    "max_seconds": "TimedOut",
}


def reported(kind: Kind) -> Callable[[Work[P]], Callable[[P], Awaitable[Any]]]:
    """Wrap a flow's function so that a server that outlives the run is told of it.

    Awaited from Python the flow still returns its result; run by a worker it ends in a state
    whose name says why it ended.
    """

    def wrap(work: Work[P]) -> Callable[[P], Awaitable[Any]]:
        @functools.wraps(work)
        async def told(parameters: P) -> Any:
            if serves_alone():
                return await work(parameters)
            return await _tell(kind, work, parameters)

        # Prefect would look the parameter's type up by its name, in this module.
        told.__signature__ = inspect.signature(work, eval_str=True)  # pyright: ignore
        return told

    return wrap


async def _tell(kind: Kind, work: Work[Any], parameters: Any) -> Any:
    end_with_worker()
    if isinstance(parameters, BattleParameters):
        parameters = battle_parameters(parameters)
    run_id = _run_id(kind, parameters)
    shown = contextlib.nullcontext() if run_id is None else progress_shown(run_id)
    try:
        async with shown:
            result = await work(parameters)
    except (StopError, ConflictError) as refusal:
        _emit(kind, "refused", run_id, {"error": refusal.message})
        if is_deployed():
            return _refused(refusal)
        raise
    except Exception as error:
        _emit(kind, "failed", run_id, {"error": f"{type(error).__name__}: {error}"})
        raise
    found = str(result.get("batchId") or result.get("run_id") or run_id)
    stopped_by = result.get("stoppedBy", result.get("stopped_by"))
    if run_id is not None:
        await publish(found)
    _emit(kind, "stopped" if stopped_by else "completed", found, _figures(result))
    return _ended(result, stopped_by, run_id, found) if is_deployed() else result


def _run_id(kind: Kind, parameters: Any) -> str | None:
    """The id that the flow itself will use; None for flows without a run of their own."""
    if kind not in _PREFIX:
        return None
    given: str | None = parameters.run_id
    return given or f"{_PREFIX[kind]}-{own_id()}"


def _figures(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if not isinstance(value, (dict, list))}


def _emit(kind: Kind, what: str, run_id: str | None, payload: dict[str, Any]) -> None:
    name = run_id or str(flow_run.id)
    resource = {"prefect.resource.id": f"cornerman.run.{name}", "prefect.resource.name": name}
    emit_event(f"cornerman.{kind}.{what}", resource=resource, payload=payload)


def _refused(refusal: StopError | ConflictError) -> State[Any]:
    """The state of a run that did not begin: that is no failure that anybody has to mend."""
    overlapping = isinstance(refusal, ConflictError)
    name = "Overlapping" if overlapping else STATE_NAMES.get(refusal.stopped_by, "Stopped")
    return State(type=StateType.CANCELLED, name=name, message=str(refusal))


def _ended(
    result: dict[str, Any], stopped_by: str | None, run_id: str | None, found: str
) -> State[Any] | dict[str, Any]:
    if run_id is not None and found != run_id:
        message = f"Its slot's batch is {found}; this run had nothing left to do."
        return State(type=StateType.COMPLETED, name="AlreadyHeld", message=message, data=result)
    if stopped_by not in STATE_NAMES:
        return result
    message = f"Stopped by {stopped_by}; what it has is kept: cornerman runs show {found}"
    name = STATE_NAMES[stopped_by]
    return State(type=StateType.COMPLETED, name=name, message=message, data=result)


def run_name() -> str:
    """A flow run's name that a person can read: what, for which workflow, which run."""
    given: Any = flow_run.parameters.get("parameters", {})
    facts = given if isinstance(given, dict) else given.model_dump()
    words = [flow_run.flow_name, facts.get("workflow_id"), facts.get("run_id") or own_id()]
    return " ".join(str(word) for word in words if word)
