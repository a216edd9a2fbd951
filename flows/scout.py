"""`scout`: looks at battles that no scout has looked at yet, each once."""

from __future__ import annotations

from typing import Any

from prefect.runtime import flow_run

from cornerman.domain.errors import StopError
from cornerman.domain.ledger import CallScope
from cornerman.domain.money import usd_to_pico
from cornerman.domain.scout_request import ScoutParameters
from flows.battle_end import tell_breakthrough
from flows.embedded import ServedFlow
from flows.engine import Engine, open_engine
from flows.session import run_session
from storage import battles, runs, workflows
from tasks.scout import ScoutContext, scout_battle
from tasks.training_context import day_budget_name


async def _scout(parameters: ScoutParameters) -> dict[str, Any]:
    """Scan for breakthroughs.

    Returns:
        `{"run_id", "processed", "breakthroughs", "stopped_by"}`.
    """
    async with open_engine() as engine:
        flow_run_id = str(flow_run.id)
        run_id = parameters.run_id or f"scout-{flow_run_id.replace('-', '')[:12]}"
        await engine.db.write(_create, run_id, parameters, engine.simulated)
        async with run_session(engine.db, run_id, flow_run_id=flow_run_id) as session:
            try:
                result = await session.guard(_scan(engine, parameters, run_id))
            except StopError as stop:
                result = _result(run_id, 0, [], stop.stopped_by)
            except Exception as error:
                facts = {"type": type(error).__name__, "message": str(error)}
                await engine.db.write(runs.finish_run, run_id, status="failed", error=facts)
                raise
            stopped_by = result["stopped_by"]
            status = "completed" if stopped_by is None else "stopped"
            await engine.db.write(
                runs.finish_run, run_id, status=status, stopped_by=stopped_by, result=result
            )
            return result


async def _scan(engine: Engine, parameters: ScoutParameters, run_id: str) -> dict[str, Any]:
    processed, found, stopped_by = 0, list[str](), None
    async with engine.llm() as llm:
        scouting = ScoutContext(engine.db, llm, engine.settings, _scope(engine, run_id), run_id)
        for battle in await engine.db.read(battles.read_unscouted_battles, limit=parameters.limit):
            try:
                breakthrough = await scout_battle(scouting, battle.id)
            except StopError as stop:
                stopped_by = stop.stopped_by
                break
            processed += 1
            if breakthrough is not None:
                found.append(breakthrough.id)
                await tell_breakthrough(engine.db, engine.settings, breakthrough)
    return _result(run_id, processed, found, stopped_by)


def _result(
    run_id: str, processed: int, found: list[str], stopped_by: str | None
) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "processed": processed,
        "breakthroughs": found,
        "stopped_by": stopped_by,
    }


def _scope(engine: Engine, run_id: str) -> CallScope:
    day = day_budget_name(simulated=engine.simulated)
    limit = usd_to_pico(engine.settings.daily_budget_usd)
    return CallScope(run_id, "scout", {day: limit}, engine.simulated)


def _create(session: Any, run_id: str, parameters: ScoutParameters, simulated: bool) -> None:
    workflows.create_workflow(session, "negotiation")
    runs.create_run(
        session,
        run_id=run_id,
        kind="scout",
        workflow_id="negotiation",
        request=parameters.model_dump(mode="json"),
        random_state={},
        simulated=simulated,
    )


scout = ServedFlow(_scout, name="scout", validate_parameters=True)
