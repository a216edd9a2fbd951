"""One battle batch from its request to its figures; `flows.battle` says in which order."""

from __future__ import annotations

import uuid
from typing import Any

from cornerman.domain.battle_request import BattleParameters
from cornerman.domain.battles import Battle
from cornerman.domain.candidates import Prompt
from cornerman.domain.errors import ConflictError, KillSwitchActiveError, NotFoundError
from cornerman.domain.personas import Persona
from cornerman.domain.runs import Run
from cornerman.domain.seeds import derived_seed
from cornerman.domain.selection import persona_histories, select_personas
from cornerman.domain.workflows import Workflow, parse_workflow, scenario_for
from cornerman.personas import builtin_personas
from cornerman.workflows import builtin_workflow, builtin_workflow_ids
from flows.engine import Engine
from storage import battles, checkpoints, kill_switch, personas, runs, workflows
from tasks.battle_context import BattleContext, BattleJob

_IDS = uuid.UUID("2c9d0a52-8a3f-5be1-b6a5-70c3a9f4b1ce")


class BattleRun:
    """The parts of one batch."""

    def __init__(self, context: BattleContext, run: Run, jobs: list[BattleJob]) -> None:
        self.context = context
        self.run = run
        self.jobs = jobs


def read_battle_workflow(session: Any, workflow_id: str) -> Workflow:
    """How the workflow's battles are held: a built-in one, or what was stored for it.

    Raises:
        NotFoundError: Nothing is known of such a workflow's battles.
    """
    if workflow_id in builtin_workflow_ids():
        return builtin_workflow(workflow_id)
    config = workflows.read_workflow(session, workflow_id) or {}
    if "battle" not in config:
        raise NotFoundError(
            f"workflow_id: {workflow_id!r} has no rubric and scenarios for battles; built-in are "
            f"{', '.join(builtin_workflow_ids())}.",
            field="workflow_id",
            hint="Import its personas first: cornerman personas import FILE --workflow "
            f"{workflow_id}",
        )
    return parse_workflow(config["battle"], name=workflow_id)


def ensure_personas(session: Any, workflow_id: str) -> None:
    """Give a built-in workflow its own personas, the first time that it is used."""
    if personas.count_personas(session, workflow_id) == 0:
        personas.create_personas(session, builtin_personas(workflow_id))


async def prepare_batch(engine: Engine, parameters: BattleParameters, batch_id: str) -> BattleRun:
    """Check what can be checked before money is spent; store the batch and its battles.

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
    prompt, version = await engine.db.read(_agent_of, workflow)
    run, held = await engine.db.write(
        _create, workflow, parameters, batch_id, size, version, engine.simulated
    )
    context = BattleContext(
        batch_id=run.id,
        request=parameters,
        workflow=workflow,
        prompt=prompt,
        agent_version=version,
        settings=engine.settings,
        db=engine.db,
        llm=engine.llm(),
        meter=engine.meter,
        simulated=engine.simulated,
    )
    return BattleRun(context, run, held)


def _agent_of(session: Any, workflow: Workflow) -> tuple[Prompt, str]:
    """The prompt that plays, and the name of its version: the best checkpoint's, else the seed."""
    best = checkpoints.read_best_checkpoint(session, workflow.id)
    if best is None or workflow.agent_prompt not in best.prompts:
        return workflow.prompts[workflow.agent_prompt], "seed"
    return best.prompts[workflow.agent_prompt], f"v{best.config_version}"


def _refuse_overlap(session: Any, batch_id: str) -> None:
    for other in runs.read_runs(session, kind="battle", active=True):
        if other.id == batch_id:
            continue
        if other.status == "pending" or runs.is_alive(other):
            raise ConflictError(
                f"A batch is running already: {other.id}.",
                existing_id=other.id,
                hint=f"Wait for it, or end it with: cornerman runs cancel {other.id}",
            )


def _create(
    session: Any,
    workflow: Workflow,
    parameters: BattleParameters,
    batch_id: str,
    size: int,
    version: str,
    simulated: bool,
) -> tuple[Run, list[BattleJob]]:
    switch = kill_switch.read_kill_switch(session)
    if switch.active:
        raise KillSwitchActiveError(switch.reason)
    existing = runs.read_run(session, batch_id)
    if existing is None or not existing.finished:
        _refuse_overlap(session, batch_id)
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
    jobs = _stored_jobs(session, run)
    if not jobs:
        jobs = _choose(session, workflow, parameters, run.id, size)
        for job in jobs:
            battle = _new_battle(workflow, run.id, job, version, simulated=simulated)
            battles.create_battle(session, battle, job.persona, job.scenario)
    return run, jobs


def _stored_jobs(session: Any, run: Run) -> list[BattleJob]:
    jobs = list[BattleJob]()
    for battle in battles.read_battles(session, batch_id=run.id):
        setting = battles.read_setting(session, battle.id)
        if setting is not None and battle.confirms is None:
            jobs.append(BattleJob(battle.id, *setting, battle.position, battle.seed))
    return jobs


def _choose(
    session: Any, workflow: Workflow, parameters: BattleParameters, batch_id: str, size: int
) -> list[BattleJob]:
    known = personas.read_personas(session, workflow.id)
    if parameters.persona_ids is not None:
        wanted = set(parameters.persona_ids)
        known = [persona for persona in known if persona.id in wanted]
    history = persona_histories(battles.read_battles(session, workflow_id=workflow.id))
    selection = select_personas(known, history, parameters.policy, size)
    runs.update_run_metrics(
        session, batch_id, {"policy": selection.policy, "reasons": selection.reasons}
    )
    by_id = {persona.id: persona for persona in known}
    return [
        _job(workflow, by_id[persona_id], parameters.seed, batch_id, position)
        for position, persona_id in enumerate(selection.persona_ids)
    ]


def _job(
    workflow: Workflow, persona: Persona, seed: int, batch_id: str, position: int
) -> BattleJob:
    own = derived_seed(seed, "battle", persona.id)
    scenario = scenario_for(workflow, persona, own)
    return BattleJob(
        str(uuid.uuid5(_IDS, f"{batch_id}/{persona.id}")), persona, scenario, position, own
    )


def _new_battle(
    workflow: Workflow, batch_id: str, job: BattleJob, version: str, *, simulated: bool
) -> Battle:
    return Battle(
        id=job.battle_id,
        batch_id=batch_id,
        workflow_id=workflow.id,
        persona_id=job.persona.id,
        scenario_id=job.scenario.id,
        position=job.position,
        seed=job.seed,
        agent_version=version,
        simulated=simulated,
    )
