"""What a flow tells the Prefect server besides its tasks: artifacts, events and why it ended.

Only a server that outlives the run is told; the embedded one shows nobody anything.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar

from cornerman.flows.artifacts import progress_shown, publish
from cornerman.flows.embedded import serves_alone
from cornerman.flows.own_id import own_id
from cornerman.flows.schedule import battle_parameters, is_deployed
from cornerman.flows.worker_watch import end_with_worker
from prefect.client.schemas.objects import State, StateType
from prefect.events import emit_event
from prefect.runtime import flow_run

from cornerman.domain.battle_request import BattleParameters
from cornerman.domain.errors import ConflictError, StopError

Kind = Literal["training", "batch", "scout", "retrain"]
P = TypeVar("P")
Work = Callable[[P], Awaitable[dict[str, Any]]]

_PREFIX: dict[Kind, str] = {"training": "train", "batch": "batch", "scout": "scout"}
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
