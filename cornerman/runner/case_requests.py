"""Requests from outside for runs that score cases become stored, pending runs.

Everything is checked before that: whoever asks is told at once, and nothing was started.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from cornerman.clients.prices import PriceBook
from cornerman.domain.datasets.files import resolve_path
from cornerman.domain.datasets.load import DatasetSplit, fingerprint, load_cases, split_cases
from cornerman.domain.entrypoints import BUILTIN_EVALUATORS, STRATEGIES, check_entrypoint
from cornerman.domain.errors import BadInputError, ConflictError, NotFoundError
from cornerman.domain.json_values import shown
from cornerman.domain.runs import Run
from cornerman.domain.training import TrainParameters, TrainSpec
from cornerman.domain.training.candidates import Prompts
from cornerman.domain.training.evaluation import EvaluateParameters, evaluated_cases
from cornerman.domain.training.parse import public_request, refuse_untrainable
from cornerman.evaluators.base import build_evaluators
from cornerman.flows.evaluate_prepare import read_columns, stored_request
from cornerman.flows.judge import labels_for
from cornerman.settings import Settings
from cornerman.storage import checkpoints, runs, workflows
from cornerman.storage.database import Database

SpecT = TypeVar("SpecT", bound=TrainSpec)


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
    spec, _, dataset_id = await _checked(request, settings)
    prompts = await _starting_prompts(db, spec)
    _check_prices(spec, [prompts], settings)
    stored = public_request(spec, prompts) | {"dataset_fingerprint": dataset_id}
    return await _stored(db, settings, spec, stored)


async def create_evaluation_run(
    db: Database, settings: Settings, request: EvaluateParameters
) -> tuple[Run, dict[str, Any], bool]:
    """The same of an evaluation.

    Raises:
        BadInputError: The request cannot be run.
        NotFoundError: The workflow has no such checkpoint.
        ConflictError: The run id is another workflow's, or another request's.
    """
    once = request.optimizer.model_copy(update={"epochs": 1})
    given, split, dataset_id = await _checked(request, settings)
    spec = given.model_copy(update={"optimizer": once})
    evaluated_cases(split, spec.split)
    there = None if spec.run_id is None else await db.read(runs.read_run, spec.run_id)
    known = there if there is not None and there.kind == spec.kind else None
    columns, prompts = await db.read(read_columns, spec, settings, known)
    _check_prices(spec, list(prompts.values()), settings)
    return await _stored(db, settings, spec, stored_request(spec, columns, dataset_id))


async def _checked(request: SpecT, settings: Settings) -> tuple[SpecT, DatasetSplit, str]:
    """The request with its dataset's real path, the cases as they are split, their fingerprint."""
    spec = await asyncio.to_thread(_within_folders, request, dataset_folders(settings))
    _check_entrypoints(spec, settings)
    cases = await asyncio.to_thread(load_cases, spec.dataset, Path.cwd(), spec.max_cases)
    if spec.kind == "train":
        await asyncio.to_thread(labels_for, spec)
    split = split_cases(cases, spec.dataset.split)
    return spec, split, fingerprint(cases, split, spec.evaluators)


async def _stored(
    db: Database, settings: Settings, spec: TrainParameters | EvaluateParameters, stored: Any
) -> tuple[Run, dict[str, Any], bool]:
    run_id = spec.run_id or f"{spec.kind}-{uuid.uuid4().hex[:12]}"
    run, new = await db.write(_create, run_id, spec, stored, simulated=settings.simulated)
    return run, spec.model_dump(mode="json", exclude={"run_id"}, exclude_unset=True), new


def _create(
    session: Any, run_id: str, spec: TrainSpec, stored: Mapping[str, Any], *, simulated: bool
) -> tuple[Run, bool]:
    workflows.create_workflow(session, spec.workflow_id)
    there = runs.read_run(session, run_id)
    if there is not None and there.workflow_id == spec.workflow_id:
        _refuse_another(there, stored, spec)
    run = runs.create_run(
        session,
        run_id=run_id,
        kind=spec.kind,
        workflow_id=spec.workflow_id,
        request=dict(stored),
        random_state={"seed": spec.optimizer.seed, "epoch": 0},
        simulated=simulated,
    )
    return run, there is None


def _refuse_another(there: Run, stored: Mapping[str, Any], spec: TrainSpec) -> None:
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


def _within_folders(spec: SpecT, folders: tuple[Path, ...]) -> SpecT:
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


def _check_entrypoints(spec: TrainSpec, settings: Settings) -> None:
    """Refuse what the allow-list lacks; build the built-ins, so that their config is checked."""
    allowed = settings.evaluator_modules
    if spec.graph_config is not None and spec.graph_config.entrypoint is not None:
        check_entrypoint(spec.graph_config.entrypoint, allowed, "graph_config.entrypoint")
    if spec.kind == "train" and spec.optimizer.strategy not in STRATEGIES:
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


def _check_prices(spec: TrainSpec, held: Sequence[Prompts], settings: Settings) -> None:
    """Refuse models without a price now rather than in the run's own process."""
    prices = PriceBook(settings.model_prices, base_url=settings.openai_base_url)
    own = settings.model_for("agent")
    models = {prompt.model or own for prompts in held for prompt in prompts.values()}
    if spec.optimizer.epochs > 1 and spec.optimizer.strategy != "few_shot":
        models.add(settings.model_for("optimizer"))
    for model in sorted(models):
        prices.require(model)
