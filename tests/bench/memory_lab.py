"""A lab in memory: what an optimizer may do, without Prefect, a database or a network.

It counts what a run would pay for, with the same rules as the real one: each case of a candidate
once, each key of a rewrite once.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cornerman.domain.blame import Step
from cornerman.domain.datasets.load import DatasetSplit
from cornerman.domain.errors import StopError
from cornerman.domain.seeds import derived_seed, stream
from cornerman.domain.training.candidates import Candidate, Prompts
from cornerman.domain.training.cases import Case, CaseResult, Score, scores_by_case
from cornerman.domain.training.optimizer import Optimizer, Round
from cornerman.domain.training.options import OptimizerOptions


class OutOfCallsError(StopError):
    """The lab's allowance of model calls is spent."""


class World(Protocol):
    """The models: an agent, an evaluator and an optimizer's model, all pure functions."""

    def answer(self, prompts: Prompts, case: Case, seed: int) -> Any: ...

    def score(self, case: Case, output: Any) -> Score: ...

    def rewrite(self, messages: Sequence[Mapping[str, str]], seed: int) -> str: ...


@dataclass(frozen=True)
class Decision:
    """A kept decision, with the calls that had been spent by then."""

    candidate: Candidate
    accepted: bool
    reason: str
    calls: int


class MemoryLab:
    """Implements `cornerman.domain.training.optimizer.Lab`.

    Args:
        max_calls: Model calls (agent and optimizer) after which work is refused; None: no limit.
        with_traces: Whether the world's steps can be asked for.
        shuffle: Seed of the order in which concurrent work completes; None: in order.
    """

    def __init__(
        self,
        world: World,
        split: DatasetSplit,
        prompts: Prompts,
        options: OptimizerOptions,
        *,
        max_calls: int | None = None,
        shuffle: int | None = None,
        with_traces: bool = True,
    ) -> None:
        self.world = world
        self.with_traces = with_traces
        self.options = options
        self.train: Sequence[Case] = split.train
        self.validation: Sequence[Case] = split.validation
        self.test = split.test
        self._validation_ids = {case.id for case in split.validation}
        self.start = Candidate(id="c0", prompts=prompts, origin="start")
        self.calls = 0
        self.epoch = 1
        self.decisions: list[Decision] = []
        self.proposed: list[Candidate] = []
        self.rounds: list[Round] = []
        self._max_calls = max_calls
        self._order = None if shuffle is None else random.Random(shuffle)
        self._pool = [self.start]
        self._held: dict[str, dict[tuple[str, int], CaseResult]] = {}
        self._answers: dict[str, str] = {}

    @property
    def says_expected(self) -> bool:
        return getattr(self.world, "says_expected", True)

    @property
    def pool(self) -> Sequence[Candidate]:
        return tuple(self._pool)

    def results(self, candidate_id: str) -> Mapping[str, CaseResult]:
        held = self._held.get(candidate_id, {})
        return {case_id: result for (case_id, repeat), result in held.items() if repeat == 0}

    def rng(self, purpose: str) -> random.Random:
        return stream(self.options.seed, purpose)

    def propose(self, *, parent: Candidate, prompts: Prompts, origin: str) -> Candidate:
        number = 1 + sum(candidate.epoch == self.epoch for candidate in self.proposed)
        made = Candidate(
            id=f"c{self.epoch}-{number}",
            prompts=prompts,
            parent_id=parent.id,
            epoch=self.epoch,
            origin=origin,
        )
        self.proposed.append(made)
        return made

    async def evaluate(self, candidate: Candidate, cases: Sequence[Case]) -> list[CaseResult]:
        held = self._held.setdefault(candidate.id, {})
        wanted = [(case, repeat) for case in cases for repeat in range(self.options.repeats)]
        jobs = {(case.id, repeat): case for case, repeat in wanted}
        missing = [(case, key[1]) for key, case in jobs.items() if key not in held]
        for result in await asyncio.gather(*(self._run(candidate, *job) for job in missing)):
            held[result.case.id, result.repeat] = result
        return [held[case.id, repeat] for case, repeat in wanted]

    async def _run(self, candidate: Candidate, case: Case, repeat: int) -> CaseResult:
        await self._spend(getattr(self.world, "calls_per_case", 1))
        seed = derived_seed(self.options.seed, f"case:{candidate.id}/{case.id}/{repeat}", 1)
        output = self.world.answer(candidate.prompts, case, seed)
        if inspect.isawaitable(output):
            output = await output
        score = self.world.score(case, output)
        return CaseResult(
            case=case,
            candidate_id=candidate.id,
            split="train",
            epoch=self.epoch,
            status="scored",
            score=score.value,
            output=output,
            evaluations={"score": score},
            repeat=repeat,
        )

    async def steps(self, result: CaseResult) -> Sequence[Step]:
        told = getattr(self.world, "steps", None)
        if told is None or not self.with_traces:
            return ()
        by_id = {one.id: one for one in (self.start, *self.proposed)}
        name = f"case:{result.candidate_id}/{result.case.id}/{result.repeat}"
        seed = derived_seed(self.options.seed, name, 1)
        return told(by_id[result.candidate_id].prompts, result.case, seed)

    async def _spend(self, calls: int = 1) -> None:
        if self._max_calls is not None and self.calls + calls > self._max_calls:
            raise OutOfCallsError(f"{self._max_calls} calls are spent")
        self.calls += calls
        for _ in range(self._order.randrange(5) if self._order else 0):
            await asyncio.sleep(0)

    async def rewrite(self, key: str, messages: Sequence[Mapping[str, str]]) -> str:
        name = f"e{self.epoch}/{key}"
        if name not in self._answers:
            await self._spend()
            seed = derived_seed(self.options.seed, "rewrite", name)
            answer: Any = self.world.rewrite(messages, seed)
            self._answers[name] = await answer if inspect.isawaitable(answer) else answer
        return self._answers[name]

    async def decide(self, candidate: Candidate, *, accepted: bool, reason: str) -> None:
        self.decisions.append(Decision(candidate, accepted, reason, self.calls))
        if accepted:
            self._pool.append(candidate)

    # -- what the training loop does

    def validation_score(self, candidate: Candidate) -> float | None:
        """Mean over all validation cases; None unless each has been run."""
        held = self._held.get(candidate.id, {})
        scores = scores_by_case([held[key] for key in held if key[0] in self._validation_ids])
        if len(scores) < len(self.validation):
            return None
        return sum(scores.values()) / len(scores)

    async def score_start(self, *, with_train: bool = True) -> None:
        """Epoch 1: the starting prompts on train and validation."""
        cases = [*self.train, *self.validation] if with_train else self.validation
        await self.evaluate(self.start, list({case.id: case for case in cases}.values()))
        self.decisions.append(Decision(self.start, True, "the starting prompts", self.calls))

    async def next_round(self, optimizer: Optimizer) -> Round:
        """A later epoch: one round of the optimizer."""
        self.epoch += 1
        self.rounds.append(await optimizer.round(self, self.epoch))
        return self.rounds[-1]

    async def run(self, optimizer: Optimizer, epochs: int) -> None:
        """Epoch 1, then one round of the optimizer for each further epoch."""
        await self.score_start()
        for _ in range(epochs - 1):
            await self.next_round(optimizer)
