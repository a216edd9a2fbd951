"""One training run from its request to its last epoch; `flows.train` says in which order."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from cornerman.clients.llm import LLM
from cornerman.domain.candidates import Candidate, Prompts
from cornerman.domain.checkpoints import Checkpoint, NewCheckpoint
from cornerman.domain.dataset import DatasetSplit, fingerprint, load_cases, split_cases
from cornerman.domain.errors import BadInputError
from cornerman.domain.money import pico_to_usd
from cornerman.domain.optimizer import Optimizer, Round
from cornerman.domain.progress import (
    TrainingProgress,
    count_statuses,
    evaluator_means,
    mean_score,
    require_few_errored,
)
from cornerman.domain.requests import public_request
from cornerman.domain.runs import NewEvent
from cornerman.domain.statistics import mean_interval, scores_by_case
from cornerman.domain.train_parameters import TrainParameters
from cornerman.domain.training_parse import refuse_untrainable
from cornerman.evaluators.base import build_evaluators
from cornerman.optimizers import build_optimizer
from flows.engine import Engine
from flows.lab import TrainingLab
from storage import checkpoints, events, ledger, runs, workflows
from tasks.agent import build_agent
from tasks.checkpoint import store_checkpoint
from tasks.judge import judge_chat
from tasks.training_context import TrainingContext

_IDS = uuid.UUID("5b1f1d0c-6f8e-5d0a-8a52-0d4d1c4f3f10")


class TrainingRun:
    """The parts of one run and the steps that `flows.train` puts in order."""

    def __init__(
        self,
        *,
        context: TrainingContext,
        llm: LLM,
        split: DatasetSplit,
        dataset_id: str,
        optimizer: Optimizer,
        start: Candidate,
        start_checkpoint: Checkpoint | None,
    ) -> None:
        self.context = context
        self.llm = llm
        self.split = split
        self.dataset_id = dataset_id
        self.optimizer = optimizer
        self.start = start
        self.lab = TrainingLab(context, split)
        self.progress = TrainingProgress(context.spec.optimizer)
        self.checkpoints: list[Checkpoint] = []
        self._parent_checkpoint = start_checkpoint

    async def close(self) -> None:
        """Let go of the model client."""
        await self.llm.aclose()

    # -- the steps

    async def score_starting_prompts(self) -> None:
        """Epoch 1: the starting prompts on every train and validation case."""
        await self.lab.load()
        await self.lab.add(self.start)
        known = {case.id: case for case in (*self.split.train, *self.split.validation)}
        in_order = sorted(known.values(), key=lambda case: case.index)
        await self.lab.evaluate(self.start, in_order)
        first = Round(self.start, accepted=True, reason="the prompts that the run started from")
        await self._finish_epoch(1, first)

    async def next_epoch(self) -> None:
        """One round of rewriting."""
        self.context.check()
        epoch = self.progress.epoch + 1
        self.lab.epoch = epoch
        outcome = await self.optimizer.round(self.lab, epoch)
        await self._finish_epoch(epoch, outcome)

    async def open_test_split(self) -> None:
        """At the very end: the starting prompts and the best, on cases nobody has seen."""
        best = self.progress.incumbent
        if best is None or not self.split.test:
            return
        await self.lab.evaluate_test(self.start)
        if best.id != self.start.id:
            await self.lab.evaluate_test(best)

    # -- after an epoch

    def validation_results(self, candidate: Candidate) -> list[Any]:
        """A candidate's results on the validation split, repeats included."""
        ids = {case.id for case in self.split.validation}
        return [
            result
            for result in self.lab.all_results(candidate.id)
            if result.case.id in ids and result.split != "test"
        ]

    def validation_score(self, candidate: Candidate) -> float | None:
        """Mean over all validation cases; None unless each has been run."""
        results = self.validation_results(candidate)
        if len({result.case.id for result in results}) < len(self.split.validation):
            return None
        return mean_score(results)

    async def _finish_epoch(self, epoch: int, outcome: Round) -> None:
        everything = [
            result
            for candidate_id in self.lab.candidate_ids()
            for result in self.lab.all_results(candidate_id)
        ]
        require_few_errored(everything)
        candidate = outcome.candidate if outcome.accepted else None
        score = None if candidate is None else self.validation_score(candidate)
        improved = self.progress.finish_epoch(epoch, candidate, score)
        await self._tell_epoch(epoch, outcome)
        if self.progress.wants_checkpoint(improved=improved):
            await self.store_checkpoint(epoch)

    async def _tell_epoch(self, epoch: int, outcome: Round) -> None:
        best = self.progress.incumbent
        results = [] if best is None else self.validation_results(best)
        context = self.context
        cost_pico = await context.db.read(ledger.read_run_cost_pico, context.run_id)
        tried = outcome.candidate
        payload = {
            "epoch": epoch,
            "summary": evaluator_means(results, context.spec.weights),
            "score": None if best is None else mean_score(self._train_results(best)),
            "validation_score": self.progress.best_score,
            "validation_interval": self._interval(results).as_dict(),
            "candidate_id": None if tried is None else tried.id,
            "candidate_validation_score": None if tried is None else self.validation_score(tried),
            "accepted": outcome.accepted,
            "reason": outcome.reason,
            "best_candidate_id": None if best is None else best.id,
            "cost_usd": pico_to_usd(cost_pico),
        }
        event = NewEvent("agentensor_trainer", "training_epoch_complete", payload, f"epoch:{epoch}")
        await context.db.write(_end_epoch, context.run_id, event, epoch, payload)

    def _interval(self, results: list[Any]) -> Any:
        return mean_interval(
            list(scores_by_case(results).values()), self.context.spec.optimizer.seed
        )

    def _train_results(self, candidate: Candidate) -> list[Any]:
        ids = {case.id for case in self.split.train}
        return [r for r in self.lab.all_results(candidate.id) if r.case.id in ids]

    async def store_checkpoint(self, epoch: int) -> None:
        """Store the incumbent's prompts with the scores that they got."""
        best = self.progress.incumbent
        if best is None or self.progress.best_score is None:
            return
        context, results = self.context, self.validation_results(best)
        interval = self._interval(results)
        parent = self._parent_checkpoint
        new = NewCheckpoint(
            id=str(uuid.uuid5(_IDS, f"{context.run_id}/{epoch}/{best.id}")),
            workflow_id=context.spec.workflow_id,
            runnable_config=context.spec.runnable_config_with(best.prompts),
            metrics={
                "score": mean_score(self._train_results(best)),
                "validation_score": self.progress.best_score,
                "validation_low": interval.low,
                "validation_high": interval.high,
                "validation_n": interval.n,
                "cases": count_statuses(results),
            },
            metadata={
                "run_id": context.run_id,
                "epoch": epoch,
                "summary": evaluator_means(results, context.spec.weights),
                "parent_id": None if parent is None else parent.id,
                "dataset_fingerprint": self.dataset_id,
                "candidate_id": best.id,
                "strategy": context.spec.optimizer.strategy,
                "simulated": context.simulated,
            },
        )
        stored = await store_checkpoint(context.db, context.run_id, new)
        self.checkpoints.append(stored)
        self._parent_checkpoint = stored


def _end_epoch(session: Any, run_id: str, event: NewEvent, epoch: int, payload: Any) -> None:
    events.create_event(session, run_id, event)
    runs.update_random_state(session, run_id, {"epoch": epoch})
    kept = ("epoch", "score", "validation_score", "cost_usd", "best_candidate_id")
    runs.update_run_metrics(session, run_id, {key: payload[key] for key in kept})


@task(name="prepare", cache_policy=NO_CACHE, persist_result=False)
async def prepare_training(engine: Engine, parameters: TrainParameters, run_id: str) -> TrainingRun:
    """Check everything that can be checked before money is spent, then store the run.

    Raises:
        BadInputError: Something in the request cannot be run, named by its field.
        UnpricedModelError: A model has no price.
    """
    settings, spec = engine.settings, parameters
    cases = load_cases(spec.dataset, Path.cwd(), spec.max_cases)
    split = split_cases(cases, spec.dataset.split)
    dataset_id = fingerprint(cases, split, spec.evaluators)
    best = await engine.db.read(checkpoints.read_best_checkpoint, spec.workflow_id)
    prompts = _starting_prompts(spec, best)
    allowed = list(settings.evaluator_modules)
    agent = build_agent(spec.graph_config, allowed)
    llm = engine.llm(cache=spec.cache)
    judge = judge_chat(llm, settings)
    evaluators = build_evaluators(spec.evaluators, allowed=allowed, chat=judge)
    optimizer = build_optimizer(spec.optimizer.strategy, allowed)
    _require_prices(engine, spec, prompts)
    context = TrainingContext(
        run_id=run_id,
        spec=spec,
        settings=settings,
        db=engine.db,
        llm=llm,
        meter=engine.meter,
        agent=agent,
        evaluators=evaluators,
        simulated=engine.simulated,
    )
    start = Candidate(id="c0", prompts=prompts, origin="start")
    stored = await engine.db.write(_create, context, dataset_id, start)
    if stored != dataset_id:
        raise BadInputError(
            f"dataset: run {run_id!r} was started on another dataset (fingerprint {stored}, now "
            f"{dataset_id}), so it cannot be continued on this one.",
            field="dataset",
            hint="Restore the file, or start a new run.",
        )
    return TrainingRun(
        context=context,
        llm=llm,
        split=split,
        dataset_id=dataset_id,
        optimizer=optimizer,
        start=start,
        start_checkpoint=None if spec.starting_prompts else best,
    )


def _create(session: Any, context: TrainingContext, dataset_id: str, start: Candidate) -> str:
    spec = context.spec
    workflows.create_workflow(session, spec.workflow_id)
    request = public_request(spec, start.prompts)
    run = runs.create_run(
        session,
        run_id=context.run_id,
        kind="train",
        workflow_id=spec.workflow_id,
        request=request | {"dataset_fingerprint": dataset_id},
        random_state={"seed": spec.optimizer.seed, "epoch": 0},
        simulated=context.simulated,
    )
    return str(run.request["dataset_fingerprint"])


def _starting_prompts(spec: TrainParameters, best: Checkpoint | None) -> Prompts:
    given = spec.starting_prompts
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


def _require_prices(engine: Engine, spec: TrainParameters, prompts: Prompts) -> None:
    models = {prompt.model or engine.settings.model_for("agent") for prompt in prompts.values()}
    if spec.optimizer.epochs > 1:
        models.add(engine.settings.model_for("optimizer"))
    if any(evaluator.entrypoint == "llm_judge" for evaluator in spec.evaluators):
        models.add(engine.settings.model_for("judge"))
    for model in sorted(models):
        engine.endpoint.prices.require(model)
