"""Where a training run stands, and whether one of its stops has come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cornerman.domain.errors import CornermanError
from cornerman.domain.training.candidates import Candidate
from cornerman.domain.training.cases import CaseResult
from cornerman.domain.training.options import OptimizerOptions

# A run with a larger share of errored cases measures its faults, not its prompts.
MAX_ERRORED_SHARE = 0.2


class TooManyErroredError(CornermanError):
    """More than a fifth of the cases have no score."""

    code = "too_many_errored"


@dataclass
class TrainingProgress:
    """The loop's state after an epoch; rebuilt by the same steps when a run is resumed.

    Args:
        incumbent: The candidate with the best validation score so far; ties stay with the
            earlier one.
        best_score: Its mean over the validation cases, in 0..1.
        since_best: Epochs since it was found.
    """

    options: OptimizerOptions
    epoch: int = 0
    incumbent: Candidate | None = None
    best_score: float | None = None
    since_best: int = 0
    improved_at: list[int] = field(default_factory=list[int])

    def finish_epoch(self, epoch: int, candidate: Candidate | None, score: float | None) -> bool:
        """Take in an epoch's validated candidate; return whether it is the new best."""
        self.epoch = epoch
        better = score is not None and (self.best_score is None or score > self.best_score)
        if candidate is not None and better:
            self.incumbent, self.best_score, self.since_best = candidate, score, 0
            self.improved_at.append(epoch)
            return True
        self.since_best += 1
        return False

    @property
    def target_reached(self) -> bool:
        target = self.options.target_score
        return target is not None and self.best_score is not None and self.best_score >= target

    @property
    def stopped_by(self) -> str | None:
        """`target_score`, `patience` or, after the last epoch, `epochs`; None to go on."""
        if self.target_reached:
            return "target_score"
        if self.epoch >= self.options.epochs:
            return "epochs"
        if self.options.patience is not None and self.since_best >= self.options.patience:
            return "patience"
        return None

    def wants_checkpoint(self, *, improved: bool) -> bool:
        """A checkpoint is due on improvement, at each interval, and at the end."""
        at_interval = self.epoch % self.options.checkpoint_interval == 0
        return improved or at_interval or self.stopped_by is not None


def count_statuses(results: Iterable[CaseResult]) -> dict[str, int]:
    """How many results are `scored`, `timed_out`, `errored`."""
    counts = {"scored": 0, "timed_out": 0, "errored": 0}
    for result in results:
        counts[result.status] += 1
    return counts


def require_few_errored(
    results: Sequence[CaseResult], total: int | None = None, *, command: str = "train"
) -> None:
    """Fail a run that could not score its cases.

    Args:
        total: How many results there will be; None: those given are all.
        command: What continues the run.

    Raises:
        TooManyErroredError: More than 20% are errored; quotes the most frequent error.
    """
    errored = [result for result in results if result.status == "errored"]
    total = len(results) if total is None else total
    if not errored or len(errored) <= MAX_ERRORED_SHARE * total:
        return
    messages = [f"{r.error.type}: {r.error.message}" for r in errored if r.error is not None]
    commonest = max(messages, key=messages.count) if messages else "unknown"
    raise TooManyErroredError(
        f"{len(errored)} of {total} cases errored, over the limit of "
        f"{MAX_ERRORED_SHARE:.0%}. Most often: {commonest[:500]}",
        hint=f"Mend the agent or the evaluator, then: cornerman {command} --resume RUN_ID",
    )
