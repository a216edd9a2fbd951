"""`scout`: looks at battles that no scout has looked at yet, each once."""

from __future__ import annotations

from typing import Any

from prefect.runtime import flow_run

from cornerman.domain.battles.breakthroughs import ScoutParameters
from cornerman.domain.errors import BudgetExceededError, CornermanError, StopError
from cornerman.domain.money import usd_to_pico
from cornerman.domain.money.ledger import CallScope
from cornerman.domain.runs import RunStatus
from cornerman.flows.battle_end import breakthrough_fact, budget_fact
from cornerman.flows.engine import Engine, open_engine, own_id
from cornerman.flows.plumbing.embedded import ServedFlow
from cornerman.flows.plumbing.reported import reported, run_name
from cornerman.flows.session import run_session
from cornerman.storage import battles, ledger, runs, workflows
from cornerman.tasks.notify import Fact, notify_all, trip_kill_switch
from cornerman.tasks.scout import ScoutContext, scout_battle
from cornerman.tasks.training_context import day_budget_name

_STATUS: dict[str, RunStatus] = {"cancelled": "cancelled"}


class _Scan:
    """What a scan has done so far; a scan that is stopped has done that much."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.processed = 0
        self.found = list[str]()
        self.facts = list[Fact]()

    def result(self, stopped_by: str | None) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "processed": self.processed,
            "breakthroughs": self.found,
            "stopped_by": stopped_by,
        }


async def _scout(parameters: ScoutParameters) -> dict[str, Any]:
    """Scan for breakthroughs.

    Returns:
        `{"run_id", "processed", "breakthroughs", "stopped_by"}`.
    """
    async with open_engine() as engine:
        flow_run_id = str(flow_run.id)
        run_id = parameters.run_id or f"scout-{own_id()}"
        run = await engine.db.write(_create, run_id, parameters, engine.simulated)
        if run.finished and run.result is not None:
            return run.result
        scan, stop = _Scan(run_id), None
        async with run_session(engine.db, run_id, flow_run_id=flow_run_id) as session:
            try:
                await session.guard(_look(engine, parameters, scan))
            except StopError as stopped:
                stop = stopped
            except Exception as error:
                await engine.db.write(_fail, run_id, error)
                raise
            return await _end(engine, scan, stop)


async def _look(engine: Engine, parameters: ScoutParameters, scan: _Scan) -> None:
    async with engine.llm() as llm:
        scope = _scope(engine, scan.run_id)
        scouting = ScoutContext(engine.db, llm, engine.settings, scope, scan.run_id)
        for battle_id in await engine.db.read(battles.read_unscouted_ids, limit=parameters.limit):
            look = await scout_battle(scouting, battle_id)
            scan.processed += look.processed
            if look.found is not None:
                scan.found.append(look.found.id)
                scan.facts.append(breakthrough_fact(look.found))


async def _end(engine: Engine, scan: _Scan, stop: StopError | None) -> dict[str, Any]:
    if isinstance(stop, BudgetExceededError):
        scope = _scope(engine, scan.run_id)
        await engine.db.write(trip_kill_switch, scan.run_id, scope, stop)
        scan.facts.append(budget_fact(scan.run_id, stop, simulated=engine.simulated))
    stopped_by = None if stop is None else stop.stopped_by
    result = scan.result(stopped_by)
    await engine.db.write(_finish, result, stopped_by)
    await notify_all(engine.db, engine.settings, scan.facts)
    return result


def _finish(session: Any, result: dict[str, Any], stopped_by: str | None) -> None:
    ledger.settle_run_calls(session, result["run_id"])
    status = "completed" if stopped_by is None else _STATUS.get(stopped_by, "stopped")
    runs.finish_run(session, result["run_id"], status=status, stopped_by=stopped_by, result=result)


def _fail(session: Any, run_id: str, error: Exception) -> None:
    ledger.settle_run_calls(session, run_id)
    hint = error.hint if isinstance(error, CornermanError) else ""
    facts = {"type": type(error).__name__, "message": str(error), "hint": hint}
    runs.finish_run(session, run_id, status="failed", stopped_by="error", error=facts)


def _scope(engine: Engine, run_id: str) -> CallScope:
    day = day_budget_name(simulated=engine.simulated)
    limit = usd_to_pico(engine.settings.daily_budget_usd)
    return CallScope(run_id, "scout", {day: limit}, engine.simulated)


def _create(session: Any, run_id: str, parameters: ScoutParameters, simulated: bool) -> Any:
    # Scouts look at every workflow's battles; their rows need one to stand under.
    workflows.create_workflow(session, "negotiation")
    return runs.create_run(
        session,
        run_id=run_id,
        kind="scout",
        workflow_id="negotiation",
        request=parameters.model_dump(mode="json"),
        random_state={},
        simulated=simulated,
    )


scout = ServedFlow(
    reported("scout")(_scout), name="scout", flow_run_name=run_name, validate_parameters=True
)
