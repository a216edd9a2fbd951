"""Battle batches and scout scans as stored, pending runs.

Requests from outside become stored, pending runs; everything is checked before that.

Trying a reviewed breakthrough's tactic, in a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from cornerman.clients.prices import PriceBook
from cornerman.domain.battles.breakthroughs import Breakthrough, PromoteParameters, ScoutParameters
from cornerman.domain.battles.request import BattleBatchRequest
from cornerman.domain.datasets.files import resolve_path
from cornerman.domain.datasets.load import fingerprint, load_cases, split_cases
from cornerman.domain.entrypoints import BUILTIN_EVALUATORS, STRATEGIES, check_entrypoint
from cornerman.domain.errors import (
    BadInputError,
    ConflictError,
    KillSwitchActiveError,
    NotFoundError,
)
from cornerman.domain.json_values import shown
from cornerman.domain.personas.selection import no_active_personas
from cornerman.domain.runs import Run, RunKind
from cornerman.domain.training import TrainParameters
from cornerman.domain.training.candidates import Prompts
from cornerman.domain.training.parse import public_request, refuse_untrainable
from cornerman.evaluators.base import build_evaluators
from cornerman.flows.judge import labels_for
from cornerman.flows.promote import make_trial
from cornerman.personas import builtin_personas
from cornerman.runner import launches
from cornerman.runner.launches import Launch, LaunchFolder
from cornerman.settings import Settings
from cornerman.storage import breakthroughs, budgets, checkpoints, personas, runs, workflows
from cornerman.storage.database import Database
from cornerman.workflows import builtin_workflow_ids

# Scouts look at every workflow's battles; their rows need one to stand under.
_SCOUT_WORKFLOW = "negotiation"


async def create_batch_run(
    db: Database, settings: Settings, request: BattleBatchRequest
) -> tuple[Run, bool]:
    """Store a batch as a pending run; its `batch_key` gives the same batch again.

    Returns:
        The batch's run, and whether it is new.

    Raises:
        BadInputError: The batch size is over the limit.
        KillSwitchActiveError: The kill-switch is on.
        ConflictError: Another batch is running.
        NotFoundError: No personas are active.
    """
    settings.batch_size_checked(request.batch_size)
    launched = frozenset(LaunchFolder(settings.home).run_ids())
    return await db.write(_create_batch, request, launched, simulated=settings.simulated)


def _create_batch(
    session: Any, request: BattleBatchRequest, launched: frozenset[str], *, simulated: bool
) -> tuple[Run, bool]:
    # Before the key is looked up: while the switch is on, cron answers nothing else.
    _refuse_kill_switch(session)
    if request.batch_key is not None:
        there = runs.read_run_by_key(session, "battle", request.batch_key)
        if there is not None:
            return there, False
    _refuse_overlap(session, launched)
    workflows.create_workflow(session, request.workflow_id)
    _require_personas(session, request.workflow_id)
    run = runs.create_run(
        session,
        run_id=_new_id("batch"),
        kind="battle",
        workflow_id=request.workflow_id,
        request=request.model_dump(mode="json"),
        random_state={"seed": request.seed},
        simulated=simulated,
        idempotency_key=request.batch_key,
    )
    return run, True


async def create_scout_run(db: Database, settings: Settings) -> Run:
    """Store a scan for breakthroughs as a pending run.

    Raises:
        KillSwitchActiveError: The kill-switch is on.
    """
    return await db.write(_create_scout, simulated=settings.simulated)


def _create_scout(session: Any, *, simulated: bool) -> Run:
    _refuse_kill_switch(session)
    workflows.create_workflow(session, _SCOUT_WORKFLOW)
    kind: RunKind = "scout"
    return runs.create_run(
        session,
        run_id=_new_id("scout"),
        kind=kind,
        workflow_id=_SCOUT_WORKFLOW,
        request=ScoutParameters.model_validate({}).model_dump(mode="json", exclude={"run_id"}),
        random_state={},
        simulated=simulated,
    )


def _new_id(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def _refuse_kill_switch(session: Any) -> None:
    switch = budgets.read_kill_switch(session)
    if switch.active:
        raise KillSwitchActiveError(switch.reason)


def _refuse_overlap(session: Any, launched: frozenset[str]) -> None:
    for other in runs.read_runs(session, kind="battle", active=True):
        # One whose process died still counts while it is to be started again here.
        if runs.goes_on(other) or other.id in launched:
            raise ConflictError(
                f"A batch is running already: {other.id}.",
                existing_id=other.id,
                hint=f"Wait for it, or end it with: cornerman runs cancel {other.id}",
            )


def _require_personas(session: Any, workflow_id: str) -> None:
    builtin = workflow_id in builtin_workflow_ids()
    if builtin and personas.count_personas(session, workflow_id) == 0:
        personas.create_personas(session, builtin_personas(workflow_id))
    known = personas.read_personas(session, workflow_id)
    if not any(persona.active for persona in known):
        raise no_active_personas(workflow_id, switched_off=bool(known))


def dataset_folders(settings: Settings) -> tuple[Path, ...]:
    """Folders that requests over HTTP may read datasets from; uploads go to the first."""
    return settings.dataset_folders or (settings.home / "datasets",)


async def create_training_run(
    db: Database, settings: Settings, request: TrainParameters
) -> tuple[Run, dict[str, Any], bool]:
    """Check a request that came over HTTP and store it as a pending run.

    Returns:
        The run; the parameters to start it with; whether it is new. A run id that exists gives
        that run.

    Raises:
        BadInputError: The request cannot be run.
        ConflictError: The run id is another workflow's, or another request's.
    """
    spec = await asyncio.to_thread(_within_folders, request, dataset_folders(settings))
    _check_entrypoints(spec, settings)
    cases = await asyncio.to_thread(load_cases, spec.dataset, Path.cwd(), spec.max_cases)
    await asyncio.to_thread(labels_for, spec)
    dataset_id = fingerprint(cases, split_cases(cases, spec.dataset.split), spec.evaluators)
    prompts = await _starting_prompts(db, spec)
    _check_prices(spec, prompts, settings)
    run_id = spec.run_id or f"train-{uuid.uuid4().hex[:12]}"
    stored = public_request(spec, prompts) | {"dataset_fingerprint": dataset_id}
    run, new = await db.write(_create, run_id, spec, stored, simulated=settings.simulated)
    return run, spec.model_dump(mode="json", exclude={"run_id"}, exclude_unset=True), new


def _create(
    session: Any, run_id: str, spec: TrainParameters, stored: Mapping[str, Any], *, simulated: bool
) -> tuple[Run, bool]:
    workflows.create_workflow(session, spec.workflow_id)
    there = runs.read_run(session, run_id)
    if there is not None and there.workflow_id == spec.workflow_id:
        _refuse_another(there, stored, spec)
    run = runs.create_run(
        session,
        run_id=run_id,
        kind="train",
        workflow_id=spec.workflow_id,
        request=dict(stored),
        random_state={"seed": spec.optimizer.seed, "epoch": 0},
        simulated=simulated,
    )
    return run, there is None


def _refuse_another(there: Run, stored: Mapping[str, Any], spec: TrainParameters) -> None:
    """Refuse a request whose id another request has: its sender would read the other's events.

    Raises:
        ConflictError: They differ; names the run and the field.
    """
    # Files and the best checkpoint may have changed since; the request is the same.
    left_out = {"dataset_fingerprint"} | ({"prompts"} if spec.starting_prompts is None else set())
    asked = {name: value for name, value in stored.items() if name not in left_out}
    # Compared as stored: JSON has no tuples.
    field = _difference(json.loads(json.dumps(asked)), there.request)
    if field is not None:
        raise ConflictError(
            f"execution_id: run {there.id!r} is there already ({there.status}), and was asked for "
            f"with another {field}.",
            existing_id=there.id,
            hint="Send the same request or attach to follow it; give a new execution_id for a "
            "new run.",
        )


def _difference(asked: Any, known: Any, path: str = "") -> str | None:
    """The path of the first difference; fields that an older version did not store are none."""
    if isinstance(asked, dict) and isinstance(known, dict):
        ours, theirs = cast("dict[str, Any]", asked), cast("dict[str, Any]", known)
        for name in ours.keys() & theirs.keys():
            inner = f"{path}.{name}" if path else name
            found = _difference(ours[name], theirs[name], inner)
            if found is not None:
                return found
        return None
    if isinstance(asked, list) and isinstance(known, list):
        ours_list, theirs_list = cast("list[Any]", asked), cast("list[Any]", known)
        if len(ours_list) != len(theirs_list):
            return path
        pairs = enumerate(zip(ours_list, theirs_list, strict=True))
        places = (_difference(a, b, f"{path}.{place}") for place, (a, b) in pairs)
        return next((place for place in places if place is not None), None)
    return None if asked == known else path


def _within_folders(spec: TrainParameters, folders: tuple[Path, ...]) -> TrainParameters:
    """Put the files' real paths in place of the ones given, once they may be read."""
    changes: dict[str, Any] = {}
    if spec.dataset.path is not None:
        path = _within(spec.dataset.path, folders, "dataset.path")
        changes["dataset"] = spec.dataset.model_copy(update={"path": path})
    if spec.judge is not None:
        path = _within(spec.judge.calibration, folders, "judge.calibration")
        changes["judge"] = spec.judge.model_copy(update={"calibration": path})
    return spec.model_copy(update=changes)


def _within(given: str, folders: tuple[Path, ...], field: str) -> str:
    try:
        return str(resolve_path(given, folders[0], folders))
    except NotFoundError:
        # Where the folder lies is for nobody outside to know.
        raise NotFoundError(
            f"{field}: there is no dataset {shown(given)}.",
            field=field,
            hint="Upload it first: POST /api/datasets?name=cases.jsonl",
        ) from None
    except BadInputError as error:
        raise BadInputError(
            error.message.replace("dataset.path:", f"{field}:"), field=field
        ) from None


def _check_entrypoints(spec: TrainParameters, settings: Settings) -> None:
    """Refuse what the allow-list lacks; build the built-ins, so that their config is checked."""
    allowed = settings.evaluator_modules
    if spec.graph_config is not None and spec.graph_config.entrypoint is not None:
        check_entrypoint(spec.graph_config.entrypoint, allowed, "graph_config.entrypoint")
    if spec.optimizer.strategy not in STRATEGIES:
        check_entrypoint(spec.optimizer.strategy, allowed, "optimizer.strategy")
    for place, evaluator in enumerate(spec.evaluators):
        check_entrypoint(evaluator.entrypoint, allowed, f"evaluators.{place}.entrypoint")
    builtin = [e for e in spec.evaluators if e.entrypoint in BUILTIN_EVALUATORS]
    build_evaluators(builtin, allowed=allowed, chat=_no_chat)


async def _no_chat(*_args: Any, **_kwargs: Any) -> Any:
    raise AssertionError("evaluators are built here, never asked")


async def _starting_prompts(db: Database, spec: TrainParameters) -> Prompts:
    if spec.starting_prompts is not None:
        return spec.starting_prompts
    best = await db.read(checkpoints.read_best_checkpoint, spec.workflow_id)
    if best is None:
        raise BadInputError(
            f"prompts: none are given, and workflow {spec.workflow_id!r} has no checkpoint to "
            "take them from.",
            field="prompts",
            hint='Add prompts: {"system": {"text": "...", "requires_grad": true}}',
        )
    refuse_untrainable(best.prompts, spec.graph_config, "the best checkpoint's prompts")
    return best.prompts


def _check_prices(spec: TrainParameters, prompts: Prompts, settings: Settings) -> None:
    """Refuse models without a price now rather than in the run's own process."""
    prices = PriceBook(settings.model_prices, base_url=settings.openai_base_url)
    models = {prompt.model or settings.model_for("agent") for prompt in prompts.values()}
    if spec.optimizer.epochs > 1:
        models.add(settings.model_for("optimizer"))
    for model in sorted(models):
        prices.require(model)


async def start_promotion(
    db: Database, settings: Settings, breakthrough_id: str, *, by: str
) -> tuple[Breakthrough, str]:
    """Begin the trial that may promote a breakthrough; a trial that is on is not begun twice.

    Returns:
        The breakthrough as it stands, and the id of the trial's training run.

    Raises:
        NotFoundError: There is no such breakthrough.
        ConflictError: It was not reviewed, or no tactic could be named.
        BadInputError: Too few personas are left to try it on.
        KillSwitchActiveError: The kill-switch is on.
    """
    found = await db.read(_promotable, breakthrough_id)
    parameters = PromoteParameters.model_validate({"breakthrough_id": found.id, "by": by})
    # Named by what is tried on whom, so that a stopped trial goes on.
    run_id = str((await db.read(make_trial, parameters, found)).run_id)
    launch = Launch(run_id, "promote", parameters.model_dump(mode="json"))
    await asyncio.to_thread(launches.start_process, LaunchFolder(settings.home), launch)
    return found, run_id


def _promotable(session: Any, breakthrough_id: str) -> Breakthrough:
    found = breakthroughs.read_breakthrough(session, breakthrough_id)
    if found is None:
        raise NotFoundError(f"There is no breakthrough {breakthrough_id!r}.", field="id")
    if found.status != "reviewed":
        raise ConflictError(
            f"Breakthrough {found.id} is {found.status!r}; only a reviewed one is tried.",
            existing_id=found.id,
            hint="Review it first.",
        )
    if not found.tactic.named:
        raise ConflictError(
            f"The scout could not name the tactic of breakthrough {found.id}, so there is "
            "nothing to write into a prompt.",
            existing_id=found.id,
        )
    switch = budgets.read_kill_switch(session)
    if switch.active:
        raise KillSwitchActiveError(switch.reason)
    return found


def keep_failed_trial(session: Any, breakthrough_id: str, why: str) -> None:
    """Keep on the breakthrough why its trial could not be held."""
    found = breakthroughs.read_breakthrough(session, breakthrough_id)
    if found is not None and found.status == "reviewed":
        changed = found.model_copy(update={"last_trial": f"the trial could not be held: {why}"})
        breakthroughs.update_breakthrough(session, changed)
