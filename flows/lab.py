"""The lab of one training run: does what the optimizer decides, stores it, finds it again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence

from prefect.context import FlowRunContext

from cornerman.domain.blame import Step, steps_of
from cornerman.domain.datasets.load import DatasetSplit
from cornerman.domain.entrypoints import EXPECTS_MORE
from cornerman.domain.errors import StopError
from cornerman.domain.runs import case_subject
from cornerman.domain.seeds import stream
from cornerman.domain.training.candidates import Candidate, Prompts
from cornerman.domain.training.cases import Case, CaseResult, Split
from cornerman.domain.training.options import OptimizerOptions
from cornerman.domain.training.progress import TooManyErroredError, require_few_errored
from cornerman.flows.plumbing.embedded import serves_alone
from cornerman.flows.plumbing.tag_limits import begun
from cornerman.storage import cases as candidate_rows
from cornerman.storage import cases as case_rows
from cornerman.storage.traces import read_trace
from cornerman.tasks.case import (
    CASE_RETRIES,
    TASK_MARGIN_SECONDS,
    CaseErroredError,
    errored_result,
    run_case,
    store_case,
)
from cornerman.tasks.case_progress import CaseJob
from cornerman.tasks.rewrite import ask_optimizer
from cornerman.tasks.slots import CASE_TAG
from cornerman.tasks.training_context import TrainingContext

# Tasks begun beyond those that may run: Prefect's bookkeeping of one then overlaps the waiting
# of another, which is worth a tenth of the wall time for cases of 0.2 s.
_TASKS_AHEAD = 8


RunCase = Callable[[TrainingContext, CaseJob], Awaitable[CaseResult]]
# By candidate, then by case and repeat.
_Results = dict[str, dict[tuple[str, int], CaseResult]]


def _keep(results: _Results, result: CaseResult) -> None:
    results.setdefault(result.candidate_id, {})[result.case.id, result.repeat] = result


class TrainingLab:
    """Implements `cornerman.domain.training.optimizer.Lab` on Prefect tasks and the database."""

    def __init__(self, context: TrainingContext, split: DatasetSplit) -> None:
        self._context = context
        self._split = split
        self._results: _Results = {}
        self._stored: _Results = {}
        # Several rewrites tried on one case would only find the luckiest.
        proposals = min(context.spec.optimizer.proposals, len(split.train))
        self._options = context.spec.optimizer.model_copy(update={"proposals": proposals})
        self._pool: list[Candidate] = []
        self._named: dict[int, int] = {}
        self._begun_at_once = context.cases_at_once + _TASKS_AHEAD
        self._starting = asyncio.Semaphore(self._begun_at_once)
        # Rewrites are calls of the run like any others: so many at once as were asked for.
        self._rewriting = asyncio.Semaphore(context.cases_at_once)
        # Made once: to make a task anew for each case costs more than to run it.
        timeout = context.spec.optimizer.case_timeout_seconds
        self._run_case: RunCase = run_case.with_options(
            timeout_seconds=timeout + TASK_MARGIN_SECONDS,
            # Prefect asks for a place under the limits of each tag. Nobody can set one there.
            tags=[] if serves_alone() else [CASE_TAG],
        )
        self._first_epoch_cases = 0
        self._errored: list[CaseResult] = []
        self.epoch = 1

    async def load(self) -> None:
        """Find what earlier attempts at this run stored.

        The optimizer sees none of it before it asks for it again: what it decided at a moment
        must not depend on what was stored after that moment.
        """
        run_id = self._context.run_id
        for result in await self._context.db.read(case_rows.read_case_results, run_id):
            _keep(self._stored, result)

    def run_cases_by(self, run_case: RunCase) -> None:
        """Have cases run elsewhere; errored ones are stored there too."""
        self._run_case = run_case

    # -- what the optimizer may see

    @property
    def options(self) -> OptimizerOptions:
        return self._options

    @property
    def train(self) -> Sequence[Case]:
        return self._split.train

    @property
    def validation(self) -> Sequence[Case]:
        return self._split.validation

    @property
    def pool(self) -> Sequence[Candidate]:
        return tuple(self._pool)

    @property
    def says_expected(self) -> bool:
        return all(
            evaluator.entrypoint not in EXPECTS_MORE for evaluator in self._context.spec.evaluators
        )

    def results(self, candidate_id: str) -> Mapping[str, CaseResult]:
        held = self._results.get(candidate_id, {})
        return {
            case_id: result
            for (case_id, repeat), result in held.items()
            if repeat == 0 and result.split != "test"
        }

    def all_results(self, candidate_id: str) -> list[CaseResult]:
        """Everything known of a candidate, repeats and test included, in the dataset's order."""
        held = self._results.get(candidate_id, {}).values()
        return sorted(held, key=lambda result: (result.case.index, result.repeat))

    def candidate_ids(self) -> list[str]:
        """Every candidate that was run on anything."""
        return list(self._results)

    def rng(self, purpose: str) -> random.Random:
        return stream(self.options.seed, purpose)

    # -- what the optimizer may do

    def propose(self, *, parent: Candidate, prompts: Prompts, origin: str) -> Candidate:
        number = self._named[self.epoch] = self._named.get(self.epoch, 0) + 1
        return Candidate(
            id=f"c{self.epoch}-{number}",
            prompts=prompts,
            parent_id=parent.id,
            epoch=self.epoch,
            origin=origin,
        )

    async def add(self, candidate: Candidate) -> None:
        """Put the starting candidate into the pool."""
        await self._context.db.write(
            candidate_rows.create_candidate, self._context.run_id, candidate
        )
        self._pool.append(candidate)

    async def decide(self, candidate: Candidate, *, accepted: bool, reason: str) -> None:
        run_id, db = self._context.run_id, self._context.db
        await db.write(candidate_rows.create_candidate, run_id, candidate)
        decision = {"accepted": accepted, "reason": reason}
        await db.write(candidate_rows.update_candidate_decision, run_id, candidate.id, decision)
        if accepted:
            self._pool.append(candidate)

    async def rewrite(self, key: str, messages: Sequence[Mapping[str, str]]) -> str:
        async with self._rewriting:
            return await ask_optimizer(self._context, f"e{self.epoch}/{key}", messages)

    async def steps(self, result: CaseResult) -> Sequence[Step]:
        subject = case_subject(result.candidate_id, result.case.id, result.repeat)
        return steps_of(await self._context.db.read(read_trace, self._context.run_id, subject))

    async def evaluate(self, candidate: Candidate, cases: Sequence[Case]) -> list[CaseResult]:
        await self._context.db.write(
            candidate_rows.create_candidate, self._context.run_id, candidate
        )
        return await self._run(candidate, cases, split=None)

    async def evaluate_test(self, candidate: Candidate) -> list[CaseResult]:
        """Open the test split for a candidate; only the loop does, at its end."""
        await self._context.db.write(
            candidate_rows.create_candidate, self._context.run_id, candidate
        )
        return await self._run(candidate, self._split.test, split="test")

    async def _run(
        self, candidate: Candidate, cases: Sequence[Case], *, split: Split | None
    ) -> list[CaseResult]:
        training = {case.id for case in self._split.train}
        return await self.run_jobs(
            [
                CaseJob(
                    candidate,
                    case,
                    split or ("train" if case.id in training else "validation"),
                    self.epoch,
                    repeat,
                )
                for case in cases
                for repeat in range(self.options.repeats)
            ]
        )

    async def run_jobs(self, wanted: Sequence[CaseJob]) -> list[CaseResult]:
        """Run jobs, each once per run; their results in the same order.

        Raises:
            StopError: The run must start no more work.
        """
        missing = dict[tuple[str, str, int], CaseJob]()
        for job in wanted:
            candidate, key = job.candidate.id, (job.case.id, job.repeat)
            if key in self._results.get(candidate, {}):
                continue
            if key in self._stored.get(candidate, {}):
                _keep(self._results, self._stored[candidate][key])
            else:
                missing[candidate, *key] = job
        if self.epoch == 1:
            self._first_epoch_cases = len(wanted)
        await self._run_missing(list(missing.values()))
        return [self._results[job.candidate.id][job.case.id, job.repeat] for job in wanted]

    async def _run_missing(self, jobs: Sequence[CaseJob]) -> None:
        """Run jobs, a few more begun than may run; what ends one ends the round.

        The cases in hand still finish. A coroutine for each of ten thousand jobs would only hold
        memory while it waits for its turn.
        """
        waiting = iter(jobs)
        done = dict[CaseJob, CaseResult]()
        errors = list[BaseException]()

        async def work() -> None:
            for job in waiting:
                if errors:
                    return
                try:
                    done[job] = await self._run_one(job)
                except Exception as error:  # noqa: BLE001 - raised below, once all are at rest
                    errors.append(error)

        outcomes = await asyncio.gather(
            *(work() for _ in range(min(len(jobs), self._begun_at_once))), return_exceptions=True
        )
        errors += [outcome for outcome in outcomes if outcome is not None]
        # In the order of the program, never of completion: an optimizer may read them in order.
        for job in jobs:
            if job in done:
                _keep(self._results, done[job])
        if errors:
            raise (self._context.stopping or errors[0]) from None

    async def _run_one(self, job: CaseJob) -> CaseResult:
        job.has_slot = self._context.slots.before_tasks
        async with self._context.slots if job.has_slot else self._starting:
            self._context.check()
            try:
                result = await begun(lambda: self._run_case(self._context, job))
                return self._counted(result) if result.status == "errored" else result
            except CaseErroredError as error:
                attempts = 1 + (CASE_RETRIES if error.retried else 0)
                result = errored_result(job, error, attempts)
                return self._counted(await store_case(self._context, result))
            except StopError as stop:
                self._context.stop(stop)
                raise
            finally:
                _forget_results()

    def _counted(self, errored: CaseResult) -> CaseResult:
        """Stop the first epoch as soon as its end is certain: an agent that cannot work at all
        should not be tried on a thousand cases."""
        self._errored.append(errored)
        if self.epoch == 1:
            try:
                require_few_errored(
                    self._errored, self._first_epoch_cases, command=self._context.kind
                )
            except TooManyErroredError as error:
                self._context.stop(error)
        return errored


def _forget_results() -> None:
    """Empty Prefect's list of which task made which result, a state for each case to the end.

    It serves tasks that take another one's result; cases take none.
    """
    context = FlowRunContext.get()
    if context is not None:
        context.run_results.clear()
