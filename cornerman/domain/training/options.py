"""What runs a case and what scores it: parts of a training request.

How a run searches for better prompts: `optimizer` of a training request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from cornerman.domain.datasets import Options
from cornerman.domain.entrypoints import BUILTIN_EVALUATORS, STRATEGIES, syntax_fault
from cornerman.domain.json_values import (
    FiniteNumber,
    JsonObject,
    JsonText,
    WholeNumber,
    json_fault,
    problem,
)
from cornerman.domain.runs import DEFAULT_CONCURRENT_CASES, MOST_CONCURRENT_CASES
from cornerman.domain.training.candidates import MOST_DEMOS, Prompt, Prompts

DEFAULT_DEMOS = 8


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
        description="Where the agent answers; see `protocol`.",
        examples=["http://127.0.0.1:8080/agent"],
    )
    headers: dict[str, JsonText] = Field(
        default_factory=dict,
        description="Sent with each request.",
        examples=[{"X-Team": "support"}],
    )
    protocol: Literal["json", "openai"] = Field(
        "json",
        description="`json`: a POST of `{inputs, prompts, thread_id}`, answered by `{output}`; "
        "`openai`: a chat completion, the prompt as system message.",
        examples=["json"],
    )
    model: str = Field(
        "agent", description="The model's name in an `openai` call.", examples=["my-agent"]
    )


# What an Orcheo workflow's graph is stored as: a script's source, or nodes and edges.
_ORCHEO_GRAPH = frozenset({"format", "source", "nodes", "edges"})


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

    @model_validator(mode="before")
    @classmethod
    def _no_graph_of_orcheos(cls, given: Any) -> Any:
        # Its source comes over a socket, and nothing that does is ever run.
        if isinstance(given, Mapping) and _ORCHEO_GRAPH & given.keys():
            raise problem(
                f"is a graph of Orcheo's (it has {', '.join(sorted(_ORCHEO_GRAPH & given.keys()))})"
                ", whose code is not taken from a request; put the graph into a module of yours, "
                "name that in EVALUATOR_MODULES, and give {entrypoint: module:graph}"
            )
        return given

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


class DemosOptions(Options):
    """Demonstrations that a search may put into a prompt."""

    max: WholeNumber = Field(
        DEFAULT_DEMOS,
        ge=0,
        le=MOST_DEMOS,
        description="Most in one prompt; with fewer train cases, as many as there are.",
        examples=[8],
    )


class OptimizerOptions(Options):
    """Search settings. The optional stops are checked before any work is started."""

    epochs: WholeNumber = Field(
        3, ge=1, le=50, description="Rounds; the first scores the starting prompts.", examples=[3]
    )
    checkpoint_interval: WholeNumber = Field(
        1,
        ge=1,
        le=100,
        description="Epochs between checkpoints; an improvement and the end give one anyway.",
        examples=[1],
    )
    case_timeout_seconds: FiniteNumber = Field(
        30.0,
        ge=1,
        le=300,
        description="Limit of one case: the agent's call and its evaluators.",
        examples=[30],
    )
    max_concurrency: WholeNumber = Field(
        4,
        ge=1,
        le=MOST_CONCURRENT_CASES,
        description="Cases at once; runs at most MAX_CONCURRENT_CASES, which is "
        f"{DEFAULT_CONCURRENT_CASES} unless set.",
        examples=[4],
    )
    strategy: str = Field(
        "reflective",
        description="`reflective`, `few_shot`, `textual_gradient`, `gepa` (extra) or an allowed "
        "module:name.",
        examples=["reflective"],
    )
    demos: DemosOptions | None = Field(
        None,
        description="Let `reflective` learn demonstrations from the train cases beside the text; "
        "`few_shot` learns them alone.",
        examples=[{"max": 8}],
    )
    patience: WholeNumber | None = Field(
        None,
        ge=1,
        json_schema_extra={"minimum": 1},
        description="Stop after so many epochs without an improvement.",
        examples=[2],
    )
    target_score: FiniteNumber | None = Field(
        None,
        ge=0,
        le=1,
        json_schema_extra={"minimum": 0, "maximum": 1},
        description="Stop when validation reaches this score.",
        examples=[0.95],
    )
    max_cost_usd: FiniteNumber | None = Field(
        None,
        ge=0,
        json_schema_extra={"minimum": 0},
        description="Budget of the run in USD; never passed.",
        examples=[1.0],
    )
    max_seconds: FiniteNumber | None = Field(
        None,
        gt=0,
        json_schema_extra={"exclusiveMinimum": 0},
        description="Start no more work after so many seconds.",
        examples=[600],
    )
    seed: WholeNumber = Field(0, description="Seed of every random choice.", examples=[0])
    repeats: WholeNumber = Field(
        1, ge=1, le=10, description="Runs of each case; a case's score is their mean.", examples=[1]
    )
    proposals: WholeNumber = Field(
        6, ge=1, le=8, description="Rewrites proposed and tried at once in a round.", examples=[6]
    )
    minibatch_size: WholeNumber = Field(
        3, ge=1, le=50, description="Train cases that a rewrite is first tried on.", examples=[3]
    )

    @property
    def most_demos(self) -> int:
        """Demonstrations that a search may put into one prompt; 0: none."""
        if self.demos is not None:
            return self.demos.max
        return DEFAULT_DEMOS if self.strategy == "few_shot" else 0

    @model_validator(mode="after")
    def _demos_fit(self) -> OptimizerOptions:
        if self.strategy in ("textual_gradient", "gepa") and self.most_demos:
            raise problem(
                f"{self.strategy} learns no demonstrations; reflective and few_shot do",
                "optimizer.demos",
            )
        if self.strategy == "few_shot" and not self.most_demos:
            raise problem(
                "is 0, and few_shot learns nothing else; give 1 to 64", "optimizer.demos.max"
            )
        return self

    def cases_at_once(self, most: int) -> int:
        """Cases that really run at once, where MAX_CONCURRENT_CASES is `most`."""
        return min(self.max_concurrency, most)

    @field_validator("strategy")
    @classmethod
    def _known_strategy(cls, value: str) -> str:
        if value in STRATEGIES:
            return value
        fault = syntax_fault(value, STRATEGIES)
        if fault:
            raise problem(fault)
        return value
