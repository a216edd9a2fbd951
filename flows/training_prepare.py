"""Before a run that scores cases: everything is checked that can be, then the run is stored."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from cornerman.clients.chat_request import check_model_kwargs
from cornerman.clients.llm import LLM
from cornerman.domain.datasets.load import (
    DatasetSplit,
    fingerprint,
    load_cases,
    split_cases,
)
from cornerman.domain.errors import BadInputError
from cornerman.domain.runs import Run
from cornerman.domain.secrets import redact_json
from cornerman.domain.training import TrainParameters, TrainSpec
from cornerman.domain.training.candidates import Candidate, Checkpoint, Prompt, Prompts
from cornerman.domain.training.options import is_chat_agent
from cornerman.domain.training.parse import changed_fields, public_request, refuse_untrainable
from cornerman.flows.battle_workflow import refuse_strange_addresses
from cornerman.flows.demo_checks import check_demos
from cornerman.flows.engine import Engine, make_context
from cornerman.flows.judge import make_gate
from cornerman.flows.training_run import TrainingRun
from cornerman.optimizers import build_optimizer
from cornerman.storage import checkpoints, runs, workflows
from cornerman.tasks.battle_agent import ENTRYPOINT as BATTLE_AGENT
from cornerman.tasks.metering import meter_agent
from cornerman.tasks.own_agents import build_agent
from cornerman.tasks.training_context import TrainingContext


@task(name="prepare", cache_policy=NO_CACHE, persist_result=False)
async def prepare_training(engine: Engine, parameters: TrainParameters, run_id: str) -> TrainingRun:
    """Check everything that can be checked before money is spent, then store the run.

    Raises:
        BadInputError: Something in the request cannot be run, named by its field; or it is not
            the request of the run that it would continue.
        UnpricedModelError: A model has no price.
    """
    spec = parameters
    split, dataset_id = await load_dataset(engine, spec)
    known_by_id = {case.id: case for case in (*split.train, *split.validation, *split.test)}
    cases = list(known_by_id.values())
    known = await engine.db.read(runs.read_run, run_id)
    best = await engine.db.read(checkpoints.read_best_checkpoint, spec.workflow_id)
    prompts = _starting_prompts(spec, known, best)
    async with contextlib.AsyncExitStack() as stack:
        llm, context = await open_context(stack, engine, spec, run_id, [prompts])
        check_demos(
            spec, prompts, cases, engine.endpoint.prices, engine.settings.model_for("agent")
        )
        optimizer = build_optimizer(
            spec.optimizer.strategy, list(engine.settings.evaluator_modules)
        )
        gate = make_gate(engine, spec, llm, cases)
        start = Candidate(id="c0", prompts=prompts, origin="start")
        parent = _parent_id(spec, prompts, best)
        stored = await engine.db.write(_create, context, dataset_id, start, parent)
        stack.pop_all()
    return TrainingRun(
        context=context,
        llm=llm,
        split=split,
        dataset_id=dataset_id,
        optimizer=optimizer,
        start=start,
        promote=spec.promote,
        stored=stored,
        gate=gate,
    )


async def load_dataset(engine: Engine, spec: TrainSpec) -> tuple[DatasetSplit, str]:
    """A request's cases as they are split, and their fingerprint.

    Raises:
        BadInputError: The dataset cannot be used, or its battles' personas are not to be called.
        SettingsError: Cases should run on a cluster, and its extra is not installed.
    """
    if engine.settings.dask_scheduler is not None:
        # Imported only when asked for: an extra, which few need.
        from cornerman.flows.plumbing.dask_cases import require_extra

        require_extra()
    cases = load_cases(spec.dataset, Path.cwd(), spec.max_cases)
    split = split_cases(cases, spec.dataset.split)
    if spec.graph_config is not None and spec.graph_config.entrypoint == BATTLE_AGENT:
        await engine.db.read(refuse_strange_addresses, [case.inputs for case in cases])
    return split, fingerprint(cases, split, spec.evaluators)


async def open_context(
    stack: contextlib.AsyncExitStack,
    engine: Engine,
    spec: TrainSpec,
    run_id: str,
    prompts: Sequence[Prompts],
) -> tuple[LLM, TrainingContext]:
    """What the run's cases share: model client, meter, agent and evaluators.

    Args:
        stack: Closes them, until whoever works on the run does.
        prompts: All sets that will be scored; their models must have prices.

    Raises:
        BadInputError: Agent, evaluators or prompts cannot be used.
        UnpricedModelError: A model has no price.
    """
    # Before its module is imported: it may make its client then.
    metering = meter_agent(spec.graph_config, engine.settings, engine.endpoint)
    if metering is not None:
        stack.push_async_callback(metering.close)
    agent = build_agent(spec.graph_config, list(engine.settings.evaluator_modules))
    if is_chat_agent(spec.graph_config):
        for held in prompts:
            # An agent of the user's own may give its kwargs any meaning.
            check_model_kwargs(held["system"].model_kwargs, field="prompts.system.model_kwargs")
    for held in prompts:
        _require_prices(engine, spec, held)
    llm = engine.llm(cache=spec.cache)
    stack.push_async_callback(llm.aclose)
    return llm, make_context(engine, spec, run_id, llm=llm, agent=agent, metering=metering)


def _create(
    session: Any,
    context: TrainingContext,
    dataset_id: str,
    start: Candidate,
    parent_id: str | None,
) -> Run:
    """Store the run, or find the one to continue, with its stops as they are now."""
    spec, run_id = context.spec, context.run_id
    workflows.create_workflow(session, spec.workflow_id)
    request = public_request(spec, start.prompts) | {"dataset_fingerprint": dataset_id}
    run = runs.create_run(
        session,
        run_id=run_id,
        kind="train",
        workflow_id=spec.workflow_id,
        request=request,
        random_state={"seed": spec.optimizer.seed, "epoch": 0},
        simulated=context.simulated,
    )
    refuse_another_request(run, request, simulated=context.simulated)
    if run.request.get("optimizer") != request["optimizer"]:
        runs.update_request(session, run_id, run.request | {"optimizer": request["optimizer"]})
    if "parent_checkpoint_id" not in run.random_state:
        state = run.random_state | {"parent_checkpoint_id": parent_id}
        runs.update_random_state(session, run_id, state)
    found = runs.read_run(session, run_id)
    assert found is not None
    return found


def refuse_another_request(run: Run, request: dict[str, Any], *, simulated: bool) -> None:
    stored, given = run.request.get("dataset_fingerprint"), request["dataset_fingerprint"]
    hint = "Start a new run, under an id of its own."
    if stored != given:
        raise BadInputError(
            f"dataset: run {run.id!r} was started on another dataset or with other evaluators "
            f"(fingerprint {stored}, now {given}), so it cannot be continued with these.",
            field="dataset",
            hint=f"Restore the file, or: {hint[0].lower()}{hint[1:]}",
        )
    changed = changed_fields(redact_json(request), run.request)
    if changed:
        raise BadInputError(
            f"{changed[0]}: differs from run {run.id!r}, which could not be continued exactly.",
            field=changed[0],
            hint=hint,
        )
    if run.simulated != simulated:
        was, now = ("simulated", "real") if run.simulated else ("real", "simulated")
        raise BadInputError(
            f"run_id: run {run.id!r} has {was} scores, and {now} models would answer now.",
            field="run_id",
            hint="Set the key and the address as they were. " + hint,
        )


def _starting_prompts(spec: TrainParameters, known: Run | None, best: Checkpoint | None) -> Prompts:
    given = spec.starting_prompts
    if known is not None and known.request.get("prompts"):
        return stored_prompts(known, given)
    if given is not None:
        return given
    if best is None:
        raise BadInputError(
            f"prompts: none are given, and workflow {spec.workflow_id!r} has no checkpoint to "
            "take them from.",
            field="prompts",
            hint='Add prompts: {"system": {"text": "...", "requires_grad": true}}',
        )
    prompts = best.prompts
    refuse_untrainable(prompts, spec.graph_config, "the best checkpoint's prompts")
    return prompts


def stored_prompts(run: Run, given: Prompts | None) -> Prompts:
    """The prompts that a run started from; the workflow's best may be other ones by now."""
    stored = {name: Prompt.model_validate(p) for name, p in run.request["prompts"].items()}
    if given is None:
        return stored
    dumped = {name: prompt.model_dump(mode="json") for name, prompt in given.items()}
    if redact_json(dumped) != run.request["prompts"]:
        raise BadInputError(
            f"prompts: run {run.id!r} was started from other prompts.",
            field="prompts",
            hint="Leave them out to continue the run, or start a new one.",
        )
    return given


def _parent_id(spec: TrainParameters, prompts: Prompts, best: Checkpoint | None) -> str | None:
    is_from_best = best is not None and spec.starting_prompts is None and best.prompts == prompts
    return best.id if best is not None and is_from_best else None


def _require_prices(engine: Engine, spec: TrainSpec, prompts: Prompts) -> None:
    models = {prompt.model or engine.settings.model_for("agent") for prompt in prompts.values()}
    if spec.optimizer.epochs > 1 and spec.optimizer.strategy != "few_shot":
        models.add(engine.settings.model_for("optimizer"))
    if any(evaluator.entrypoint == "llm_judge" for evaluator in spec.evaluators):
        models.add(engine.settings.model_for("judge"))
    for model in sorted(models):
        engine.endpoint.prices.require(model)
