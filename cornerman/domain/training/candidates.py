"""What a prompt and a candidate are.

What a checkpoint is, and when it may become the workflow's best.

Checkpoints in the forms that other programs read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)

MOST_DEMOS = 64


def as_text(value: Any) -> str:
    """A JSON value as a message holds it: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class Demo(BaseModel):
    """One demonstration: a case's inputs, and what is to be said to them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inputs: dict[str, Any] = Field(
        min_length=1,
        description="As a case's `inputs`.",
        examples=[{"message": "My card was stolen!"}],
    )
    output: Any = Field(
        description="What to answer; a text for the chat agent.", examples=["lost card"]
    )
    messages: list[dict[str, Any]] = Field(
        default_factory=list,
        description="Chat messages between the two, such as tool calls and their results.",
        examples=[[]],
    )

    @model_serializer(mode="wrap")
    def _plain(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_empty(dump(self), "messages")

    @property
    def key(self) -> str:
        """The same for every demonstration of the same inputs."""
        return inputs_key(self.inputs)


def inputs_key(inputs: dict[str, Any]) -> str:
    """The same for the same inputs, in whatever order."""
    return json.dumps(inputs, sort_keys=True, ensure_ascii=False, default=str)


def _without_empty(dumped: dict[str, Any], name: str) -> dict[str, Any]:
    # Left out where there are none: what was stored before there were any stays the same.
    if not dumped.get(name):
        dumped.pop(name, None)
    return dumped


class Prompt(BaseModel):
    """One named prompt of a workflow."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(
        description="The prompt's text; `{name}` is filled from the case's inputs.",
        examples=["Name the message's category."],
    )
    requires_grad: bool = Field(
        False, description="Whether the optimizer may rewrite it.", examples=[True]
    )
    metadata: dict[str, Any] = Field(
        default_factory=dict,
        description="Kept with the prompt; nothing reads it.",
        examples=[{"author": "Ada"}],
    )
    model: str | None = Field(
        None, description="Model for this prompt; None: AGENT_MODEL.", examples=["gpt-4o-mini"]
    )
    model_kwargs: dict[str, Any] = Field(
        default_factory=dict,
        description="Passed to the chat call, such as temperature.",
        examples=[{"temperature": 0}],
    )
    demos: tuple[Demo, ...] = Field(
        (),
        max_length=MOST_DEMOS,
        description=f"Demonstrations, at most {MOST_DEMOS}: the chat agent sends each as a user's "
        "and an assistant's message before the case's own.",
        examples=[[{"inputs": {"message": "My card was stolen!"}, "output": "lost card"}]],
    )

    # Orcheo writes it into every prompt. It has one value, so nothing that we write repeats it.
    type: Literal["TextTensor"] = Field(
        "TextTensor",
        exclude=True,
        description="As Orcheo's models dump a prompt; says nothing.",
        examples=["TextTensor"],
    )

    @model_serializer(mode="wrap")
    def _plain(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        dumped: dict[str, Any] = dump(self)
        return _without_empty(dumped | {"demos": list(dumped.get("demos", ()))}, "demos")

    @property
    def as_shown(self) -> str:
        """The text and the demonstrations, as people compare them."""
        if not self.demos:
            return self.text
        lines = [f"> {as_text(_only(demo.inputs))}\n{as_text(demo.output)}" for demo in self.demos]
        return "\n\n".join([self.text, *lines])


def _only(inputs: dict[str, Any]) -> Any:
    return next(iter(inputs.values())) if len(inputs) == 1 else inputs


def demos_of(prompts: Iterable[Prompt]) -> list[Demo]:
    """All prompts' demonstrations."""
    return [demo for prompt in prompts for demo in prompt.demos]


Prompts = dict[str, Prompt]


class Candidate(BaseModel):
    """One set of prompts.

    `id` is `c0` for the prompts that a run started from, then `c1`, `c2`, … in the order in
    which they were proposed; unique within a run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    prompts: Prompts
    parent_id: str | None = None
    epoch: int = 1
    origin: str = Field("seed", description="How it came to be, in a few words.")


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


FORMATS = ("json", "yaml", "dspy")


def export_text(checkpoint: Checkpoint, form: str) -> str:
    """A checkpoint as the text of a file, with a line end.

    Args:
        form: `json` and `yaml` hold everything, `dspy` the prompts as a program's saved state.
    """
    if form == "yaml":
        import yaml

        return yaml.safe_dump(checkpoint.as_dict(), sort_keys=False, allow_unicode=True, width=100)
    content = dspy_state(checkpoint) if form == "dspy" else checkpoint.as_dict()
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def dspy_state(checkpoint: Checkpoint) -> dict[str, Any]:
    """The state that DSPy's `Module.load` gives to a module with a `Predict` named as each prompt.

    The prompt becomes the signature's instructions. No fields are listed, so the module keeps
    its own; and no versions, which DSPy would only compare with its own to warn.
    """
    predictors: dict[str, Any] = {
        name: {
            "traces": [],
            "train": [],
            "demos": [
                {**demo.inputs, "output": demo.output, "augmented": True} for demo in prompt.demos
            ],
            "signature": {"instructions": prompt.text, "fields": []},
            "lm": None,
        }
        for name, prompt in checkpoint.prompts.items()
    }
    return {**predictors, "metadata": {"dependency_versions": {}}}
