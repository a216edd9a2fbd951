"""What runs a case and what scores it: parts of a training request."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from cornerman.domain.candidates import Prompt, Prompts
from cornerman.domain.dataset_options import Options
from cornerman.domain.entrypoints import BUILTIN_EVALUATORS, syntax_fault
from cornerman.domain.json_values import FiniteNumber, JsonObject, JsonText, json_fault, problem


def _check_prompts(prompts: Prompts) -> Prompts:
    for name, prompt in prompts.items():
        if not name.strip():
            raise problem("a prompt's name must not be empty")
        fault = json_fault(prompt.model_dump())
        if fault:
            raise problem(f"at {name}.{fault[0]}: {fault[1]}")
    return prompts


CheckedPrompts = Annotated[dict[str, Prompt], AfterValidator(_check_prompts)]


class EvaluatorOptions(Options):
    """One evaluator and how much it counts."""

    id: JsonText = Field(
        min_length=1,
        max_length=128,
        description="Unique in the request; names the evaluator's scores.",
        examples=["quality"],
    )
    entrypoint: str = Field(
        description="`exact_match`, `contains`, `regex`, `numeric`, `json_schema`, `llm_judge`, "
        "or module:name from an allowed module.",
        examples=["exact_match", "acme.evaluators:politeness"],
    )
    config: JsonObject = Field(
        default_factory=dict,
        description="The evaluator's own settings.",
        examples=[{"ignore_case": True}],
    )
    weight: FiniteNumber = Field(
        1.0, gt=0, description="Share in the case's score; weights are normalised.", examples=[1.0]
    )

    @field_validator("entrypoint")
    @classmethod
    def _well_formed(cls, value: str) -> str:
        fault = syntax_fault(value, BUILTIN_EVALUATORS)
        if fault:
            raise problem(fault)
        return value


class HttpAgentOptions(Options):
    """An agent behind an HTTP address."""

    url: str = Field(
        pattern=r"^https?://\S+$",
        description="Gets a POST of `{inputs, prompts, context}` and answers `{output}`.",
        examples=["http://127.0.0.1:8080/agent"],
    )
    headers: dict[str, JsonText] = Field(
        default_factory=dict,
        description="Sent with each request.",
        examples=[{"X-Team": "support"}],
    )


class GraphOptions(Options):
    """The agent. With neither field it is one chat call with the prompt named `system`."""

    entrypoint: str | None = Field(
        None,
        description="module:name of a callable `(inputs, prompts, context) -> output` or of an "
        "object with `ainvoke`, from an allowed module.",
        examples=["acme.agents:support_agent"],
    )
    http: HttpAgentOptions | None = Field(
        None, description="From the command line and Python only.", examples=[None]
    )

    @model_validator(mode="after")
    def _one_kind(self) -> GraphOptions:
        if self.entrypoint is not None and self.http is not None:
            raise problem("give either entrypoint or http, not both")
        fault = self.entrypoint is not None and syntax_fault(self.entrypoint)
        if fault:
            raise problem(fault, "graph_config.entrypoint")
        return self


def is_chat_agent(graph: GraphOptions | None) -> bool:
    """Whether the agent is one chat call with the prompt named `system`."""
    return graph is None or (graph.entrypoint is None and graph.http is None)


class RunnableOptions(BaseModel):
    """A checkpoint's `runnable_config`: prompts, and whatever else the agent's host keeps."""

    model_config = ConfigDict(extra="allow", frozen=True)

    prompts: CheckedPrompts | None = Field(
        None,
        description="As `prompts` of the request.",
        examples=[{"system": {"text": "Answer with a number alone.", "requires_grad": True}}],
    )

    @model_validator(mode="after")
    def _others_are_json(self) -> RunnableOptions:
        fault = json_fault(self.model_extra or {})
        if fault:
            raise problem(f"at {fault[0]}: {fault[1]}")
        return self
