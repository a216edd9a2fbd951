"""What a training run is asked to do: the request, its limits and its defaults.

The one parameter of the flow `train-workflow`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, model_validator

from cornerman.domain.datasets import DatasetOptions, Options
from cornerman.domain.json_values import WholeNumber, problem, shown
from cornerman.domain.judges import JudgeOptions, judging_evaluator
from cornerman.domain.runs import RunKind
from cornerman.domain.training.candidates import Prompt, Prompts
from cornerman.domain.training.options import (
    CheckedPrompts,
    EvaluatorOptions,
    GraphOptions,
    HttpAgentOptions,
    OptimizerOptions,
    RunnableOptions,
    is_chat_agent,
)

__all__ = [
    "EvaluatorOptions",
    "GraphOptions",
    "HttpAgentOptions",
    "OptimizerOptions",
    "RunnableOptions",
    "TrainSpec",
    "TrainingRequest",
    "check_runnable",
    "check_trainable",
]

# What a checkpoint's metrics hold beside each evaluator's mean, and others go by.
OWN_METRICS = frozenset(
    {"validation_score", "validation_low", "validation_high", "validation_n", "cases"}
)
WORKFLOW_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"


class TrainingRequest(Options):
    """Everything a training run is asked to do, apart from which workflow it trains."""

    dataset: DatasetOptions = Field(
        description="The cases to learn from.", examples=[{"path": "cases.jsonl"}]
    )
    evaluators: list[EvaluatorOptions] = Field(
        min_length=1,
        description="What scores an output; at least one.",
        examples=[[{"id": "exact", "entrypoint": "exact_match"}]],
    )
    optimizer: OptimizerOptions = Field(
        default_factory=lambda: OptimizerOptions.model_validate({}),
        description="How to search, and when to stop.",
        examples=[{"epochs": 3}],
    )
    prompts: CheckedPrompts | None = Field(
        None,
        description="Starting prompts by name, at least one with requires_grad; empty: those of "
        "runnable_config, else of the workflow's best checkpoint.",
        examples=[{"system": {"text": "Answer the question.", "requires_grad": True}}],
    )
    runnable_config: RunnableOptions | None = Field(
        None,
        description="A checkpoint's runnable_config to start from; may hold the prompts.",
        examples=[{"prompts": {"system": {"text": "Answer.", "requires_grad": True}}}],
    )
    graph_config: GraphOptions | None = Field(
        None,
        description="The agent; empty: one chat call with the prompt named `system`.",
        examples=[{"entrypoint": "acme.agents:support_agent"}],
    )
    judge: JudgeOptions | None = Field(
        None,
        description="Train only where the evaluator that asks a model agrees with people.",
        examples=[{"calibration": "labelled.jsonl", "min_kappa": 0.6}],
    )
    max_cases: WholeNumber | None = Field(
        None,
        gt=0,
        json_schema_extra={"exclusiveMinimum": 0},
        description="Use only the first so many cases.",
        examples=[50],
    )
    cache: bool = Field(
        False,
        description="Serve identical calls at temperature 0 from the database, at cost 0.",
        examples=[False],
    )

    @property
    def starting_prompts(self) -> Prompts | None:
        """The prompts that the request gives, or None when a checkpoint must give them."""
        held = self.runnable_config.prompts if self.runnable_config else None
        return self.prompts or held or None

    @property
    def weights(self) -> dict[str, float]:
        """Evaluator weights by id, as given."""
        return {evaluator.id: evaluator.weight for evaluator in self.evaluators}

    def runnable_config_with(self, prompts: Prompts) -> dict[str, Any]:
        """Return the runnable_config for a checkpoint: what was given, with these prompts."""
        given = dict(self.runnable_config.model_extra or {}) if self.runnable_config else {}
        dumped = {name: prompt.model_dump(mode="json") for name, prompt in prompts.items()}
        return {**given, "prompts": dumped}

    @model_validator(mode="after")
    def _evaluator_ids_are_unique(self) -> TrainingRequest:
        seen: set[str] = set()
        for place, evaluator in enumerate(self.evaluators):
            if evaluator.id in seen:
                raise problem(
                    f"{shown(evaluator.id)} is used twice; evaluator ids must be unique",
                    f"evaluators.{place}.id",
                )
            if evaluator.id in OWN_METRICS:
                raise problem(
                    f"{shown(evaluator.id)} is a name of a checkpoint's own metrics, where an "
                    "evaluator's mean stands under its id; choose another",
                    f"evaluators.{place}.id",
                )
            seen.add(evaluator.id)
        return self

    @model_validator(mode="after")
    def _judge_is_an_evaluator(self) -> TrainingRequest:
        if self.judge is not None:
            judging_evaluator(self.judge, self.evaluators)
        return self

    @model_validator(mode="after")
    def _prompts_fit(self) -> TrainingRequest:
        held = self.runnable_config.prompts if self.runnable_config else None
        if self.prompts and held and self.prompts != held:
            raise problem("differs from runnable_config.prompts; give one of the two", "prompts")
        prompts = self.starting_prompts
        if prompts:
            self.check_prompts(prompts, "prompts" if self.prompts else None)
        return self

    def check_prompts(self, prompts: Prompts, path: str | None = None) -> None:
        """Refuse prompts that this request could do nothing with, by a pydantic error."""
        check_trainable(prompts, self.graph_config, path)


def check_trainable(
    prompts: Prompts, graph: GraphOptions | None, path: str | None = "prompts"
) -> None:
    """Refuse prompts that a run could not train.

    Also for prompts that come from a checkpoint; there the error is a pydantic one that
    `cornerman.domain.training.parse.refuse_untrainable` words as bad input.
    """
    where = path or "runnable_config.prompts"
    if not any(prompt.requires_grad for prompt in prompts.values()):
        names = ", ".join(prompts)
        raise problem(
            f"no prompt has requires_grad: true; set it on at least one of {names}", where
        )
    check_runnable(prompts, graph, where)


def check_runnable(prompts: Prompts, graph: GraphOptions | None, where: str) -> None:
    """Refuse prompts that the agent could not be called with."""
    if is_chat_agent(graph) and "system" not in prompts:
        raise problem(
            f"has no prompt named system (it has {', '.join(prompts)}); without graph_config the "
            "agent is one chat call with that prompt",
            where,
        )
    if is_chat_agent(graph):
        _check_demo_outputs(prompts["system"], f"{where}.system")


def _check_demo_outputs(prompt: Prompt, where: str) -> None:
    for place, demo in enumerate(prompt.demos):
        if not isinstance(demo.output, str):
            raise problem(
                f"{shown(demo.output)} is no text; the chat agent says texts",
                f"{where}.demos.{place}.output",
            )


class TrainSpec(TrainingRequest):
    """A training request with the workflow that it trains: the command line's SPEC."""

    kind: ClassVar[RunKind] = "train"

    workflow_id: str = Field(
        pattern=WORKFLOW_ID_PATTERN,
        description="The workflow to train: letters, digits, `.`, `_` and `-`, at most 128.",
        examples=["support-agent"],
    )


RUN_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"


class TrainParameters(TrainSpec):
    """A training request, and which run it is."""

    run_id: str | None = Field(
        None,
        pattern=RUN_ID_PATTERN,
        description="The run's id; an id that exists continues that run where it was. Empty: the "
        "flow run gives it, so that Prefect's retry of a flow run continues it too.",
        examples=["nightly-2026-01-31"],
    )
    promote: bool = Field(
        True,
        description="Whether a better checkpoint becomes the workflow's best by itself; without "
        "it, somebody decides later.",
        examples=[True],
    )
