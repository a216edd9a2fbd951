"""What a workflow is: the prompts that are trained, and how its battles are held and judged."""

from __future__ import annotations

import random
from typing import Any, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cornerman.domain.battles import Speaker
from cornerman.domain.errors import BadInputError
from cornerman.domain.personas import Persona, Scenario
from cornerman.domain.training.candidates import Prompts
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
    repetition_ratio: float = Field(
        default=0.92,
        gt=0.5,
        le=1,
        description="Likeness from which a side counts as repeating itself.",
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
        agent_prompt: Name of the prompt that the agent plays a battle with.
        first_speaker: Who says the first line.
        scenarios: For personas that bring none of their own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1)
    name: str
    description: str = ""
    prompts: Prompts = Field(min_length=1)
    agent_prompt: str = "system"
    first_speaker: Speaker = "persona"
    limits: Limits = Limits()
    rubric: Rubric
    scenarios: tuple[Scenario, ...] = Field(min_length=1)


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
    if workflow.agent_prompt not in workflow.prompts:
        raise BadInputError(
            f"{name}: agent_prompt must be one of {sorted(workflow.prompts)}, "
            f"but {workflow.agent_prompt!r} came.",
            field="agent_prompt",
        )
    return workflow


def scenario_for(workflow: Workflow, persona: Persona, seed: int) -> Scenario:
    """Where a persona is met: its own scenario, or one of the workflow's by seed."""
    if persona.scenario is not None:
        return persona.scenario
    return random.Random(f"{seed}/scenario/{persona.id}").choice(workflow.scenarios)
