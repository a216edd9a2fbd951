"""What a workflow is: the prompts that are trained, and how its battles are held and judged."""

from __future__ import annotations

import random
from typing import Any, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cornerman.domain.battles import Speaker
from cornerman.domain.datasets import Options, SplitOptions
from cornerman.domain.errors import BadInputError
from cornerman.domain.judges import JudgeOptions
from cornerman.domain.personas import Persona, Scenario
from cornerman.domain.training.candidates import Prompt, Prompts
from cornerman.domain.training.options import (
    EvaluatorOptions,
    GraphOptions,
    OptimizerOptions,
    is_chat_agent,
)
from cornerman.domain.yaml_values import read_yaml


class Limits(BaseModel):
    """How long a battle may get."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    turn_limit: int = Field(default=10, ge=2, le=40, description="Turns of both sides together.")
    turn_max_tokens: int = Field(
        default=300, ge=16, le=4_000, description="Output tokens of one turn."
    )
    referee_max_tokens: int = Field(
        default=1_200, ge=64, le=8_000, description="Output tokens of one verdict."
    )
    prompt_chars: int = Field(
        default=8_000,
        ge=200,
        le=64_000,
        description="Characters of one turn that later prompts show.",
    )
    turn_timeout_seconds: float = Field(
        default=60.0,
        ge=0.1,
        le=3_600,
        description="Time for one turn of an agent of your own; a later one fails the battle.",
    )
    repetition_ratio: float = Field(
        default=0.92,
        gt=0.5,
        le=1,
        description="Likeness from which a side counts as repeating itself.",
    )


class BattleAgent(GraphOptions):
    """The agent: as `graph_config` of a training request, and how it takes a conversation."""

    stateful: bool = Field(
        False,
        description="It keeps the conversation itself, under `thread_id`, and is sent only what "
        "is new.",
    )
    turn_timeout_seconds: float | None = Field(
        None, ge=0.1, le=3_600, description="In place of the limit of the same name."
    )


def _plain_split() -> SplitOptions:
    return SplitOptions.model_validate({})


def _patient_optimizer() -> OptimizerOptions:
    """A battle is many calls."""
    return OptimizerOptions.model_validate({"case_timeout_seconds": 300})


class BattleTraining(Options):
    """How `cornerman train` trains on a workflow file's battles."""

    battles_per_persona: int = Field(
        default=2, ge=1, le=50, description="Battles as cases with each active persona."
    )
    seed: int = Field(default=0, ge=0, description="Another seed, other scenarios and battles.")
    split: SplitOptions = Field(default_factory=_plain_split)
    optimizer: OptimizerOptions = Field(default_factory=_patient_optimizer)
    judge: JudgeOptions | None = Field(
        default=None, description="As of a training request; the judge is the referee."
    )


class Criterion(BaseModel):
    """One line of a rubric, scored 0 to 100. Weights count relative to each other."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, pattern=r"^[a-z][a-z0-9_]*$")
    description: str = Field(min_length=1)
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class Rubric(BaseModel):
    """What a referee looks for. `anchors` say what some scores mean, by score."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str = Field(min_length=1)
    criteria: tuple[Criterion, ...] = Field(min_length=1)
    anchors: dict[int, str] = Field(default_factory=dict)


class Workflow(BaseModel):
    """A workflow that battles are held for.

    Args:
        prompts: What the agent starts from, until one of its checkpoints is the best; an agent of
            the user's own may have none.
        agent: None: one chat call a turn with the prompt `agent_prompt`.
        agent_prompt: Name of the prompt that the agent plays a battle with, and that a
            breakthrough's tactic is tried in.
        evaluators: Run on each battle that was held, on `{"turns", "tool_calls", "ended_by"}`;
            what they find overrides the referee's score, as a computed price does. What a model
            judges (`llm_judge`) is shown and overrides nothing.
        training: For `cornerman train` of the workflow's file.
        first_speaker: Who says the first line.
        scenarios: For personas that bring none of their own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1)
    name: str
    description: str = ""
    prompts: Prompts = Field(default_factory=dict[str, Prompt])
    agent: BattleAgent | None = None
    agent_prompt: str = "system"
    first_speaker: Speaker = "persona"
    limits: Limits = Limits()
    rubric: Rubric
    evaluators: tuple[EvaluatorOptions, ...] = ()
    training: BattleTraining | None = None
    scenarios: tuple[Scenario, ...] = Field(min_length=1)

    @property
    def has_own_agent(self) -> bool:
        """Whether the agent is the user's own code or service."""
        return not is_chat_agent(self.agent)

    @property
    def turn_timeout_seconds(self) -> float:
        """Time for one turn of an own agent."""
        own = None if self.agent is None else self.agent.turn_timeout_seconds
        return self.limits.turn_timeout_seconds if own is None else own


def parse_workflow(text: str, *, name: str = "workflow") -> Workflow:
    """Read a workflow from YAML (or JSON).

    Raises:
        BadInputError: It is no YAML, or a field is missing, unknown or out of bounds.
    """
    try:
        data: Any = read_yaml(text)
        workflow = Workflow.model_validate(data)
    except (yaml.YAMLError, RecursionError) as error:
        raise BadInputError(f"{name} is not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        came = cast("object", first.get("input"))
        raise BadInputError(
            f"{name}: {path or 'document'}: {first['msg']}, but {came!r:.80} came.", field=path
        ) from error
    _require_names(workflow, name)
    if workflow.has_own_agent and "agent_prompt" not in workflow.model_fields_set:
        workflow = workflow.model_copy(update={"agent_prompt": main_prompt(workflow.prompts)})
    if not workflow.prompts and workflow.has_own_agent:
        return workflow
    if not workflow.prompts:
        raise BadInputError(
            f"{name}: prompts: none is given; an agent that is a chat call plays with one.",
            field="prompts",
        )
    if workflow.agent_prompt not in workflow.prompts:
        raise BadInputError(
            f"{name}: agent_prompt must be one of {sorted(workflow.prompts)}, "
            f"but {workflow.agent_prompt!r} came.",
            field="agent_prompt",
        )
    return workflow


def _require_names(workflow: Workflow, name: str) -> None:
    ids = [evaluator.id for evaluator in workflow.evaluators]
    if twice := sorted({one for one in ids if ids.count(one) > 1}):
        raise BadInputError(
            f"{name}: evaluators: two have the id {twice[0]!r}; each needs its own.",
            field="evaluators",
        )


def main_prompt(prompts: Prompts) -> str:
    """The prompt named `system`, else the first that may be rewritten, else the first."""
    trainable = (name for name, prompt in prompts.items() if prompt.requires_grad)
    if "system" in prompts or not prompts:
        return "system"
    return next(trainable, next(iter(prompts)))


def scenario_for(workflow: Workflow, persona: Persona, seed: int) -> Scenario:
    """Where a persona is met: its own scenario, or one of the workflow's by seed."""
    if persona.scenario is not None:
        return persona.scenario
    return random.Random(f"{seed}/scenario/{persona.id}").choice(workflow.scenarios)
