"""What a checkpoint is, and when it may become the workflow's best."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cornerman.domain.candidates import Prompt, Prompts


@dataclass(frozen=True)
class Checkpoint:
    """A stored candidate with the scores that its prompts got.

    Args:
        config_version: Counts up per workflow from 1, unique and without gaps.
        runnable_config: Holds `prompts`; what a new run needs to start from here.
        metrics: `score`, `validation_score`, its interval, and the counts of cases.
        metadata: `run_id`, `epoch`, `summary`, `parent_id`, `dataset_fingerprint`, …
    """

    id: str
    workflow_id: str
    config_version: int
    runnable_config: dict[str, Any]
    metrics: dict[str, Any]
    metadata: dict[str, Any]
    artifact_url: str | None
    is_best: bool
    created_at: datetime

    @property
    def prompts(self) -> Prompts:
        stored: dict[str, Any] = self.runnable_config.get("prompts", {})
        return {name: Prompt.model_validate(prompt) for name, prompt in stored.items()}

    @property
    def validation_score(self) -> float | None:
        return self.metrics.get("validation_score")

    @property
    def fingerprint(self) -> str | None:
        return self.metadata.get("dataset_fingerprint")

    def as_dict(self) -> dict[str, Any]:
        """The form of the API and of events."""
        return {
            "id": self.id,
            "workflow_id": self.workflow_id,
            "config_version": self.config_version,
            "runnable_config": self.runnable_config,
            "metrics": self.metrics,
            "metadata": self.metadata,
            "artifact_url": self.artifact_url,
            "is_best": self.is_best,
            "created_at": self.created_at.isoformat(),
        }


@dataclass(frozen=True)
class NewCheckpoint:
    """A checkpoint to store; `id` is deterministic, so that storing it twice stores one.

    Args:
        may_be_best: Whether it takes `is_best` when it earned it; otherwise somebody decides later.
    """

    id: str
    workflow_id: str
    runnable_config: dict[str, Any]
    metrics: dict[str, Any]
    metadata: dict[str, Any]
    artifact_url: str | None = None
    may_be_best: bool = True


def becomes_best(
    incumbent: Checkpoint | None, validation_score: float | None, fingerprint: str | None
) -> tuple[bool, str]:
    """Decide whether a new checkpoint takes `is_best`, and why.

    Only a better validation score on the same dataset does; ties stay with the earlier one.

    Args:
        incumbent: The workflow's best so far; None when it has none.
        validation_score: The new checkpoint's mean over the validation cases, in 0..1.
        fingerprint: The dataset, split and evaluators behind that score.
    """
    if validation_score is None:
        return False, "it has no validation score"
    if incumbent is None:
        return True, "the workflow's first checkpoint with a validation score"
    if incumbent.fingerprint != fingerprint:
        return False, (
            f"the best, version {incumbent.config_version}, was scored on another dataset "
            f"({incumbent.fingerprint}), so the scores cannot be compared"
        )
    best_score = incumbent.validation_score
    if best_score is None or validation_score > best_score:
        return True, f"validation {validation_score:.4f} is better than {best_score}"
    return False, f"validation {validation_score:.4f} is not better than {best_score:.4f}"
