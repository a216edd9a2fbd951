"""The protocol between the training loop and an optimizer.

An optimizer decides what to try; the `Lab` does it, stores it, pays for it and finds it again
when a run is resumed. So an optimizer must be a plain deterministic program over its lab: no
clock, no randomness but `lab.rng`, no state that a re-run from the start would not rebuild.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cornerman.domain.blame import Step
from cornerman.domain.training.candidates import Candidate, Prompts
from cornerman.domain.training.cases import Case, CaseResult
from cornerman.domain.training.options import OptimizerOptions


@dataclass(frozen=True)
class Round:
    """What became of one epoch's round of rewriting.

    Args:
        candidate: The round's most promising rewrite; None when none could be made.
        accepted: Whether it joined the pool, validated.
        reason: In words, for people.
    """

    candidate: Candidate | None
    accepted: bool
    reason: str


class Lab(Protocol):
    """What an optimizer may do. Every effect is stored under a deterministic key."""

    @property
    def options(self) -> OptimizerOptions: ...

    @property
    def train(self) -> Sequence[Case]: ...

    @property
    def validation(self) -> Sequence[Case]: ...

    @property
    def pool(self) -> Sequence[Candidate]:
        """Accepted candidates in order; the first is the one the run started from."""
        ...

    @property
    def says_expected(self) -> bool:
        """Whether a case's expected output is what the agent is to say, so that it can be shown."""
        ...

    def results(self, candidate_id: str) -> Mapping[str, CaseResult]:
        """What is known of a candidate so far: result by case id (train and validation)."""
        ...

    def rng(self, purpose: str) -> random.Random:
        """A random stream of the run's seed for one named purpose; the same on every re-run."""
        ...

    def propose(self, *, parent: Candidate, prompts: Prompts, origin: str) -> Candidate:
        """Name a new candidate of this epoch: `c2-1`, `c2-2`, … in the order of the calls."""
        ...

    async def evaluate(self, candidate: Candidate, cases: Sequence[Case]) -> list[CaseResult]:
        """Run the candidate on cases, each once per run; in the order of `cases`.

        Raises:
            StopError: The run must start no more work.
        """
        ...

    async def steps(self, result: CaseResult) -> Sequence[Step]:
        """What the agent did in that run of a case, call by call; empty where nothing was kept."""
        ...

    async def rewrite(self, key: str, messages: Sequence[Mapping[str, str]]) -> str:
        """Ask the optimizer's model, once per run and key.

        Raises:
            StopError: The run must start no more work.
            LLMError: The model gave no usable answer.
        """
        ...

    async def decide(self, candidate: Candidate, *, accepted: bool, reason: str) -> None:
        """Keep a decision; an accepted candidate joins the pool."""
        ...


class Optimizer(Protocol):
    """A strategy. Built once per run, then asked for one round per epoch from epoch 2 on."""

    async def round(self, lab: Lab, epoch: int) -> Round: ...
