"""One training run from its request to its last epoch; `flows/train.py` puts it in order."""

from __future__ import annotations

import uuid
from typing import Any

from cornerman.domain.money import pico_to_usd
from cornerman.domain.runs import NewEvent
from cornerman.domain.statistics import (
    mean_interval,
    mean_score,
    scores_by_case,
    summary_by_evaluator,
)
from cornerman.domain.training.candidates import Candidate, Checkpoint, NewCheckpoint
from cornerman.domain.training.optimizer import Optimizer, Round
from cornerman.domain.training.progress import TrainingProgress, count_statuses, require_few_errored
from cornerman.flows.case_run import CaseRun
from cornerman.flows.demo_gains import parts_of
from cornerman.flows.judge import JudgeGate, require_judge
from cornerman.storage import events, ledger, runs
from cornerman.tasks.rewrite import store_checkpoint
from cornerman.tasks.training_context import TrainingContext

_IDS = uuid.UUID("5b1f1d0c-6f8e-5d0a-8a52-0d4d1c4f3f10")


class TrainingRun(CaseRun):
    """The parts of one run and the steps that `cornerman.flows.train` puts in order."""

    def __init__(
        self,
        *,
        optimizer: Optimizer,
        start: Candidate,
        promote: bool = True,
        gate: JudgeGate | None = None,
        **parts: Any,
    ) -> None:
        super().__init__(**parts)
        self.optimizer = optimizer
        self.start = start
        self.progress = TrainingProgress(self.context.spec.optimizer)
        self._gate = gate
        self.judged: dict[str, Any] | None = None
        self.checkpoints: list[Checkpoint] = []
        self._promote = promote
        self._parent_id: str | None = self.stored.random_state.get("parent_checkpoint_id")

    # -- the steps

    async def check_judge(self) -> None:
        """Before the first case is paid for: does the judge agree with people?"""
        if self._gate is not None:
            self.judged = await require_judge(self.context, self._gate)

    async def score_starting_prompts(self) -> None:
        """Epoch 1: the starting prompts on every train and validation case."""
        await self.open_lab()
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
        for part in parts_of(self.start, best).values():
            if self._affords(best):
                await self.lab.evaluate_test(part)
        self._require_few_errored()

    def _affords(self, best: Candidate) -> bool:
        """Whether the run's budget holds one more round over the test cases, as far as one can
        tell."""
        limit = self.context.spec.optimizer.max_cost_usd
        if limit is None:
            return True
        everything = [r for c in self.lab.candidate_ids() for r in self.lab.all_results(c)]
        one = sum(r.cost_usd for r in self.lab.all_results(best.id) if r.split == "test")
        return sum(r.cost_usd for r in everything) + 1.5 * one < limit

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
        self._require_few_errored()
        candidate = outcome.candidate if outcome.accepted else None
        score = None if candidate is None else self.validation_score(candidate)
        improved = self.progress.finish_epoch(epoch, candidate, score)
        await self._tell_epoch(epoch, outcome)
        if self.progress.wants_checkpoint(improved=improved):
            await self.store_checkpoint(epoch)

    def _require_few_errored(self) -> None:
        everything = [
            result
            for candidate_id in self.lab.candidate_ids()
            for result in self.lab.all_results(candidate_id)
        ]
        require_few_errored(everything)

    async def _tell_epoch(self, epoch: int, outcome: Round) -> None:
        best = self.progress.incumbent
        results = [] if best is None else self.validation_results(best)
        context = self.context
        cost_pico = await context.db.read(ledger.read_run_cost_pico, context.run_id)
        tried = outcome.candidate
        payload = {
            "epoch": epoch,
            "summary": summary_by_evaluator(results, list(context.spec.weights)),
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
        state = self.stored.random_state | {"epoch": epoch}
        await context.db.write(_end_epoch, context, event, state, payload)

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
        summary = summary_by_evaluator(results, list(context.spec.weights))
        new = NewCheckpoint(
            id=str(uuid.uuid5(_IDS, f"{context.run_id}/{epoch}/{best.id}")),
            workflow_id=context.spec.workflow_id,
            runnable_config=context.spec.runnable_config_with(best.prompts),
            metrics={
                "score": mean_score(self._train_results(best)),
                # As Orcheo's readers find them: each evaluator's mean by its id.
                **summary,
                "validation_score": self.progress.best_score,
                "validation_low": interval.low,
                "validation_high": interval.high,
                "validation_n": interval.n,
                "cases": count_statuses(results),
            },
            metadata={
                "run_id": context.run_id,
                "epoch": epoch,
                "summary": summary,
                "parent_id": self._parent_id,
                "dataset_fingerprint": self.dataset_id,
                "candidate_id": best.id,
                "strategy": context.spec.optimizer.strategy,
                "simulated": context.simulated,
            },
            may_be_best=self._promote,
        )
        stored = await store_checkpoint(context, new)
        self.checkpoints.append(stored)
        self._parent_id = stored.id


def _end_epoch(
    session: Any, context: TrainingContext, event: NewEvent, state: dict[str, Any], payload: Any
) -> None:
    run_id = context.run_id
    runs.require_held(session, run_id, context.owner)
    events.create_event(session, run_id, event)
    runs.update_random_state(session, run_id, state)
    kept = ("epoch", "score", "validation_score", "cost_usd", "best_candidate_id")
    runs.update_run_metrics(session, run_id, {key: payload[key] for key in kept})
