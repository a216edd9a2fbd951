"""Before an evaluation: its columns are named, everything is checked, then the run is stored."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from cornerman.domain.errors import BadInputError, NotFoundError
from cornerman.domain.json_values import shown
from cornerman.domain.runs import Run
from cornerman.domain.training.candidates import Candidate, Checkpoint, Prompts
from cornerman.domain.training.cases import Case, Split
from cornerman.domain.training.evaluation import (
    BEST,
    LIMITS,
    OWN,
    Column,
    EvaluateParameters,
    evaluated_cases,
    plan_columns,
    prompts_under,
    same_prompts,
)
from cornerman.domain.training.options import is_chat_agent
from cornerman.domain.training.parse import public_request, refuse_unrunnable
from cornerman.flows.case_run import CaseRun
from cornerman.flows.engine import Engine
from cornerman.flows.training_prepare import (
    load_dataset,
    open_context,
    refuse_another_request,
    stored_prompts,
)
from cornerman.settings import Settings
from cornerman.storage import checkpoints, runs, workflows
from cornerman.tasks.training_context import TrainingContext


class EvaluationRun(CaseRun):
    """The parts of one evaluation; `flows/evaluate.py` puts its steps in order.

    Args:
        columns: In the order in which they are shown.
        candidates: The prompts that each of them scores, by its id.
        cases: What they are scored on, in the dataset's order.
    """

    def __init__(
        self,
        *,
        parameters: EvaluateParameters,
        columns: list[Column],
        candidates: dict[str, Candidate],
        cases: list[tuple[Case, Split]],
        **parts: Any,
    ) -> None:
        super().__init__(**parts)
        self.parameters = parameters
        self.columns = columns
        self.candidates = candidates
        self.cases = cases


@task(name="prepare-evaluation", cache_policy=NO_CACHE, persist_result=False)
async def prepare_evaluation(
    engine: Engine, parameters: EvaluateParameters, run_id: str
) -> EvaluationRun:
    """Check everything that can be checked before money is spent, then store the run.

    Raises:
        BadInputError: Something in the request cannot be run, named by its field; or it is not
            the request of the run that it would continue.
        UnpricedModelError: A model has no price.
    """
    # Nothing is rewritten, whatever the spec would train for.
    once = parameters.optimizer.model_copy(update={"epochs": 1})
    spec = parameters.model_copy(update={"optimizer": once})
    split, dataset_id = await load_dataset(engine, spec)
    cases = evaluated_cases(split, spec.split)
    known = await engine.db.read(runs.read_run, run_id)
    columns, prompts = await engine.db.read(read_columns, spec, engine.settings, known)
    candidates = {
        column.id: Candidate(id=column.id, prompts=prompts[column.id], origin=column.name)
        for column in columns
    }
    async with contextlib.AsyncExitStack() as stack:
        sets = [candidate.prompts for candidate in candidates.values()]
        llm, context = await open_context(stack, engine, spec, run_id, sets)
        request = stored_request(spec, columns, dataset_id)
        stored = await engine.db.write(_create, context, request, len(cases) * len(columns))
        stack.pop_all()
    return EvaluationRun(
        parameters=spec,
        columns=columns,
        candidates=candidates,
        cases=cases,
        context=context,
        llm=llm,
        split=split,
        dataset_id=dataset_id,
        stored=stored,
    )


def read_columns(
    session: Any, spec: EvaluateParameters, settings: Settings, known: Run | None = None
) -> tuple[list[Column], dict[str, Prompts]]:
    """The evaluation's columns and the prompts of each, by its id.

    Args:
        known: The run that is continued; it keeps its columns, though the workflow's best may be
            another checkpoint by now.

    Raises:
        NotFoundError: The workflow has no such checkpoint.
        BadInputError: There are no prompts to score, or none that the agent can be called with.
    """
    own = spec.starting_prompts
    if known is not None and known.request.get("columns"):
        columns = [Column(**column) for column in known.request["columns"]]
        own = stored_prompts(known, own)
    else:
        columns = _planned(session, spec, settings, own)
    prompts = dict[str, Prompts]()
    for place, column in enumerate(columns):
        held = _prompts_of(session, spec, column.checkpoint, own)
        prompts[column.id] = prompts_under(held, column.override)
        columns[place] = replace(column, model=_model(spec, prompts[column.id], settings))
    return columns, prompts


def _planned(
    session: Any, spec: EvaluateParameters, settings: Settings, own: Prompts | None
) -> list[Column]:
    bar = _bar(session, spec)
    # In the order in which they were asked for.
    sources = dict.fromkeys(_source(session, spec, name) for name in _asked(spec))
    held = {
        name: _prompts_of(session, spec, name, own)
        for name in ({*sources, bar} if bar is not None else sources)
    }
    named = {name: _model(spec, prompts, settings) for name, prompts in held.items()}
    return plan_columns(
        {name: named[name] for name in sources},
        spec.models,
        bar,
        bar_model=None if bar is None else named[bar],
        like_bar={n for n in sources if bar is not None and same_prompts(held[n], held[bar])},
    )


def stored_request(
    spec: EvaluateParameters, columns: list[Column], dataset_id: str
) -> dict[str, Any]:
    """What the run's row keeps of its request, secrets masked."""
    request = public_request(spec, spec.starting_prompts or {})
    options = request["optimizer"]
    known = {
        "columns": [column.as_dict() for column in columns],
        # The rest is about rewriting, and may change between two attempts.
        "optimizer": {name: options[name] for name in LIMITS},
    }
    return request | known | {"dataset_fingerprint": dataset_id}


def _asked(spec: EvaluateParameters) -> list[str]:
    if spec.checkpoints:
        return spec.checkpoints
    return [OWN if spec.starting_prompts else BEST]


def _source(session: Any, spec: EvaluateParameters, name: str) -> str | None:
    """The id of the checkpoint that was named; None for the request's own prompts."""
    if name != OWN:
        field = "checkpoints" if spec.checkpoints else "prompts"
        return _checkpoint(session, spec.workflow_id, name, field).id
    if spec.starting_prompts is None:
        raise BadInputError(
            "checkpoints: 'spec' was asked for, and the spec has no prompts",
            field="checkpoints",
            hint='Add prompts: {"system": {"text": "..."}}, or name a checkpoint.',
        )
    return None


def _bar(session: Any, spec: EvaluateParameters) -> str | None:
    if spec.not_worse_than is None:
        return None
    return _checkpoint(session, spec.workflow_id, spec.not_worse_than, "not_worse_than").id


def _checkpoint(session: Any, workflow_id: str, name: str, field: str) -> Checkpoint:
    best = checkpoints.read_best_checkpoint(session, workflow_id)
    found = best if name == BEST else checkpoints.find_checkpoint(session, name)
    if found is not None and found.workflow_id == workflow_id:
        return found
    if field == "prompts":
        raise BadInputError(
            f"prompts: none are given, and workflow {workflow_id!r} has no checkpoint to take "
            "them from.",
            field="prompts",
            hint='Add prompts: {"system": {"text": "..."}}',
        )
    what = "best checkpoint" if name == BEST else f"checkpoint {shown(name)}"
    raise NotFoundError(
        f"{field}: workflow {workflow_id!r} has no {what}",
        field=field,
        hint=f"Type: cornerman checkpoints list {workflow_id}",
    )


def _prompts_of(
    session: Any, spec: EvaluateParameters, checkpoint: str | None, own: Prompts | None
) -> Prompts:
    if checkpoint is None:
        assert own is not None
        return own
    prompts = _checkpoint(session, spec.workflow_id, checkpoint, "checkpoints").prompts
    refuse_unrunnable(prompts, spec.graph_config, f"checkpoint {checkpoint}'s prompts")
    return prompts


def _model(spec: EvaluateParameters, prompts: Prompts, settings: Settings) -> str | None:
    """The model that a column is called by; an agent of the user's own may choose another."""
    if is_chat_agent(spec.graph_config):
        return prompts["system"].model or settings.model_for("agent")
    models = {prompt.model for prompt in prompts.values()}
    return models.pop() if len(models) == 1 else None


def _create(session: Any, context: TrainingContext, request: dict[str, Any], total: int) -> Run:
    """Store the run, or find the one to continue, with its stops and its bar as they are now."""
    spec, run_id = context.spec, context.run_id
    workflows.create_workflow(session, spec.workflow_id)
    run = runs.create_run(
        session,
        run_id=run_id,
        kind="evaluate",
        workflow_id=spec.workflow_id,
        request=request,
        random_state={"seed": spec.optimizer.seed, "epoch": 0},
        simulated=context.simulated,
    )
    refuse_another_request(run, request, simulated=context.simulated)
    changed = {name: request[name] for name in ("optimizer", "min_score")}
    runs.update_request(session, run_id, run.request | changed)
    runs.update_run_metrics(session, run_id, {"cases_total": total * spec.optimizer.repeats})
    found = runs.read_run(session, run_id)
    assert found is not None
    return found
