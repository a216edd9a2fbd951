"""One batch at a time; and what becomes of a batch whose process died.

Holding battles: so many at once, until the time is up.

One battle batch from its request to its jobs; `cornerman.flows.battle` says what comes after.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Sequence
from typing import Any

from cornerman.domain.battles import Battle
from cornerman.domain.battles.request import BattleParameters
from cornerman.domain.battles.workflows import Workflow, scenario_for
from cornerman.domain.errors import (
    ConflictError,
    KillSwitchActiveError,
    LLMError,
    NotFoundError,
    StopError,
)
from cornerman.domain.personas import Persona
from cornerman.domain.personas.selection import (
    PersonaHistory,
    named_personas,
    persona_histories,
    select_personas,
)
from cornerman.domain.runs import Run
from cornerman.domain.seeds import derived_seed
from cornerman.domain.training.candidates import Prompts
from cornerman.evaluators.base import build_evaluators
from cornerman.flows.battle_workflow import (
    ensure_personas,
    read_agent,
    read_agent_version,
    read_battle_workflow,
)
from cornerman.flows.engine import Engine
from cornerman.flows.plumbing.tag_limits import begun
from cornerman.storage import battles, budgets, ledger, personas, runs, workflows
from cornerman.tasks.battle import end_battle, run_battle
from cornerman.tasks.battle_context import BattleContext, BattleJob
from cornerman.tasks.judge import judge_chat
from cornerman.tasks.metering import meter_agent
from cornerman.tasks.own_agents import build_agent

_DIED = "The process that held it died; go on with: cornerman battle --resume {}"


def refuse_overlap(session: Any, mine: str | None) -> None:
    """Refuse a batch beside another one, and end those whose process died.

    Raises:
        ConflictError: Another batch runs, or waits for its worker.
    """
    for other in runs.read_runs(session, kind="battle", active=True):
        if other.id == mine:
            continue
        if runs.goes_on(other):
            raise ConflictError(
                f"A batch is running already: {other.id}.",
                existing_id=other.id,
                hint=f"Wait for it, or end it with: cornerman runs cancel {other.id}",
            )
        end_dead_batch(session, other.id)


def end_dead_batch(session: Any, batch_id: str) -> None:
    """Book what was in flight, close the battles and end the run; it can still be continued."""
    ledger.settle_run_calls(session, batch_id)
    died = _DIED.format(batch_id)
    for battle in battles.read_battles(session, batch_id=batch_id):
        if battle.status in ("pending", "running"):
            closed = battle.model_copy(update={"status": "cancelled", "error": died})
            end_battle(session, batch_id, closed)
    error = {"type": "ProcessDied", "message": died, "hint": ""}
    runs.finish_run(session, batch_id, status="failed", stopped_by="error", error=error)


class BatchTimeUpError(StopError):
    """The batch's time limit has passed."""

    stopped_by = "timeout"
    exit_code = 0


async def hold_battles(context: BattleContext, jobs: Sequence[BattleJob]) -> StopError | None:
    """Hold battles side by side; return what stopped them early, if anything."""
    slots = asyncio.Semaphore(context.settings.max_concurrent_battles)
    held = [asyncio.ensure_future(_one(context, job, slots)) for job in jobs]
    try:
        if held:
            _, late = await asyncio.wait(held, timeout=max(0.0, context.remaining_seconds))
            if late:
                limit = context.time_limit_seconds
                context.stop(BatchTimeUpError(f"The time limit of {limit:g} s has passed."))
    finally:
        for battle in held:
            battle.cancel()
        outcomes = await asyncio.gather(*held, return_exceptions=True)
    for outcome in outcomes:
        # Whatever a battle can fail of is in its row; this is the database, or a bug.
        if isinstance(outcome, Exception) and not isinstance(outcome, (StopError, LLMError)):
            raise outcome
    return context.stopping


async def _one(context: BattleContext, job: BattleJob, slots: asyncio.Semaphore) -> None:
    async with slots:
        context.check()
        name = f"{job.persona.name} ({job.scenario.id})"
        await begun(lambda: run_battle.with_options(task_run_name=name)(context, job))


# Who was met when, and how strong they are, is told well enough by the newest so many.
RECENT_BATTLES = 2_000
_IDS = uuid.UUID("2c9d0a52-8a3f-5be1-b6a5-70c3a9f4b1ce")


class BattleRun:
    """The parts of one batch.

    Args:
        jobs: Battles that have not ended; None when the batch ended earlier.
    """

    def __init__(self, context: BattleContext, run: Run, jobs: list[BattleJob] | None) -> None:
        self.context = context
        self.run = run
        self.jobs = jobs or []
        self.ended = jobs is None


class _Stored:
    """What was found or made in the database for a batch."""

    def __init__(
        self, run: Run, jobs: list[BattleJob] | None, prompts: Prompts, version: str
    ) -> None:
        self.run = run
        self.jobs = jobs
        self.prompts = prompts
        self.version = version


async def prepare_batch(
    engine: Engine, parameters: BattleParameters, batch_id: str, started: float
) -> BattleRun:
    """Check what can be checked before money is spent; store the batch and its battles.

    Args:
        started: When the batch began, by `time.monotonic()`.

    Raises:
        KillSwitchActiveError: The kill-switch is on.
        ConflictError: Another batch is running.
        NotFoundError: No personas are active, or the workflow is unknown.
        BadInputError: The batch size is over the limit.
    """
    size = engine.settings.batch_size_checked(parameters.batch_size)
    workflow = await engine.db.read(read_battle_workflow, parameters.workflow_id)
    for role in ("agent", "persona", "referee", "scout"):
        engine.endpoint.prices.require(engine.settings.model_for(role))
    async with contextlib.AsyncExitStack() as stack:
        # Before its module is imported: it may make its client then.
        metering = meter_agent(workflow.agent, engine.settings, engine.endpoint)
        if metering is not None:
            stack.push_async_callback(metering.close)
        allowed = list(engine.settings.evaluator_modules)
        agent = build_agent(workflow.agent, allowed, "agent") if workflow.has_own_agent else None
        llm = engine.llm()
        stack.push_async_callback(llm.aclose)
        chat = judge_chat(llm, engine.settings)
        evaluators = build_evaluators(workflow.evaluators, allowed=allowed, chat=chat)
        stored = await engine.db.write(
            _create, workflow, parameters, batch_id, size, simulated=engine.simulated
        )
        for prompt in stored.prompts.values():
            if prompt.model is not None:
                engine.endpoint.prices.require(prompt.model)
        context = BattleContext(
            batch_id=stored.run.id,
            request=parameters,
            workflow=workflow,
            prompts=stored.prompts,
            agent_version=stored.version,
            settings=engine.settings,
            db=engine.db,
            llm=llm,
            meter=engine.meter,
            simulated=engine.simulated,
            started=started,
            agent=agent,
            metering=metering,
            evaluators=evaluators,
            telemetry=engine.telemetry,
        )
        stack.pop_all()
    return BattleRun(context, stored.run, stored.jobs)


def _create(
    session: Any,
    workflow: Workflow,
    parameters: BattleParameters,
    batch_id: str,
    size: int,
    *,
    simulated: bool,
) -> _Stored:
    prompts, version = read_agent(session, workflow)
    existing = runs.read_run(session, batch_id)
    if existing is None and parameters.batch_key is not None:
        existing = runs.read_run_by_key(session, "battle", parameters.batch_key)
    if existing is not None and existing.finished and existing.result is not None:
        return _Stored(existing, None, prompts, version)  # the same key gives the same batch
    switch = budgets.read_kill_switch(session)
    if switch.active:
        raise KillSwitchActiveError(switch.reason)
    refuse_overlap(session, None if existing is None else existing.id)
    workflows.create_workflow(session, workflow.id)
    ensure_personas(session, workflow.id)
    run = runs.create_run(
        session,
        run_id=batch_id,
        kind="battle",
        workflow_id=workflow.id,
        request=parameters.model_dump(mode="json"),
        random_state={"seed": parameters.seed},
        simulated=simulated,
        idempotency_key=parameters.batch_key,
    )
    held = battles.read_battles(session, batch_id=run.id)
    if held:
        # The version that it was begun with plays on, so that its battles can be compared.
        version = held[0].agent_version
        prompts = read_agent_version(session, workflow, version)
        return _Stored(run, _unfinished_jobs(session, held), prompts, version)
    jobs = _choose(session, workflow, parameters, run, size)
    for job in jobs:
        battle = new_battle(job, run.id, workflow.id, version, simulated=simulated)
        battles.create_battle(session, battle, job.persona, job.scenario)
    runs.update_run_metrics(session, run.id, {"battles_total": len(jobs), "battles_done": 0})
    return _Stored(run, jobs, prompts, version)


def _unfinished_jobs(session: Any, held: list[Battle]) -> list[BattleJob]:
    jobs = list[BattleJob]()
    for battle in held:
        setting = battles.read_setting(session, battle.id)
        ended = battle.status in ("scored", "unscored", "failed")
        if setting is not None and battle.confirms is None and not ended:
            jobs.append(BattleJob(battle.id, *setting, battle.position, battle.seed))
    return jobs


def _choose(
    session: Any, workflow: Workflow, parameters: BattleParameters, run: Run, size: int
) -> list[BattleJob]:
    if parameters.repeat_of is not None:
        return _repeat(session, parameters.repeat_of, workflow, run.id)
    known = personas.read_personas(session, workflow.id)
    if parameters.persona_ids is not None:
        known = named_personas(known, parameters.persona_ids)
    recent = battles.read_battles(
        session, workflow_id=workflow.id, simulated=run.simulated, limit=RECENT_BATTLES
    )
    history = persona_histories(battle for battle in recent if battle.confirms is None)
    selection = select_personas(known, history, parameters.policy, size, workflow.id)
    chosen = {"policy": selection.policy, "reasons": selection.reasons}
    runs.update_run_metrics(session, run.id, chosen)
    by_id = {persona.id: persona for persona in known}
    return [
        _job(
            workflow,
            by_id[persona_id],
            history.get(persona_id, PersonaHistory(persona_id)),
            parameters.seed,
            run.id,
            position,
        )
        for position, persona_id in enumerate(selection.persona_ids)
    ]


def _repeat(session: Any, batch_id: str, workflow: Workflow, run_id: str) -> list[BattleJob]:
    """The same battles again: who, where and by which seeds.

    Raises:
        NotFoundError: There is no such batch of the workflow, or it held no battle.
    """
    earlier = runs.read_run(session, batch_id)
    held = [b for b in battles.read_battles(session, batch_id=batch_id) if b.confirms is None]
    if earlier is None or earlier.kind != "battle" or not held:
        raise NotFoundError(
            f"repeat_of: there is no batch {batch_id!r} with battles.",
            field="repeat_of",
            hint="Type: cornerman runs list",
        )
    if earlier.workflow_id != workflow.id:
        raise NotFoundError(
            f"repeat_of: batch {batch_id!r} is of workflow {earlier.workflow_id!r}, not of "
            f"{workflow.id!r}.",
            field="repeat_of",
        )
    jobs = list[BattleJob]()
    for battle in held:
        setting = battles.read_setting(session, battle.id)
        assert setting is not None, "every battle is stored with its setting"
        again = battle_id(run_id, battle.persona_id)
        jobs.append(BattleJob(again, *setting, battle.position, battle.seed))
    return jobs


def _job(
    workflow: Workflow,
    persona: Persona,
    history: PersonaHistory,
    seed: int,
    batch_id: str,
    position: int,
) -> BattleJob:
    # How often they met is part of it, or every scheduled batch would repeat the one before.
    own = derived_seed(seed, "battle", persona.id, history.battles)
    scenario = scenario_for(workflow, persona, own)
    return BattleJob(battle_id(batch_id, persona.id), persona, scenario, position, own)


def battle_id(batch_id: str, *parts: object) -> str:
    """The id of a battle, the same whenever its batch is started again."""
    return str(uuid.uuid5(_IDS, "/".join(map(str, (batch_id, *parts)))))


def new_battle(
    job: BattleJob, batch_id: str, workflow_id: str, version: str, *, simulated: bool
) -> Battle:
    """The row of a battle that is to be held."""
    return Battle(
        id=job.battle_id,
        batch_id=batch_id,
        workflow_id=workflow_id,
        persona_id=job.persona.id,
        scenario_id=job.scenario.id,
        position=job.position,
        seed=job.seed,
        agent_version=version,
        confirms=job.confirms,
        simulated=simulated,
    )
