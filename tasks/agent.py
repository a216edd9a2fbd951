"""The agent under training: one chat call, a callable or runnable by entrypoint, or an address."""

from __future__ import annotations

import copy
import inspect
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cornerman.clients.http_agent import call_http_agent
from cornerman.clients.llm import LLM
from cornerman.domain.aio import call_any
from cornerman.domain.entrypoints import load_entrypoint
from cornerman.domain.errors import BadInputError
from cornerman.domain.money.ledger import CallScope
from cornerman.domain.training import GraphOptions
from cornerman.domain.training.candidates import Prompt, Prompts
from cornerman.settings import Settings, resolve_references

Messages = list[dict[str, Any]]


class PromptText(str):
    """A prompt as an agent gets it: its text, with the prompt's other fields as attributes."""

    prompt: Prompt

    def __new__(cls, prompt: Prompt) -> PromptText:
        made = super().__new__(cls, prompt.text)
        made.prompt = prompt
        return made

    def __getnewargs__(self) -> Any:
        # Copying and pickling make a str from its text, which would not do here.
        return (self.prompt,)

    def __getitem__(self, key: Any) -> Any:
        # `prompts["system"]["text"]` reads as it does in the request.
        return getattr(self.prompt, key) if isinstance(key, str) else super().__getitem__(key)

    @property
    def text(self) -> str:
        return self.prompt.text

    @property
    def model(self) -> str | None:
        return self.prompt.model

    @property
    def model_kwargs(self) -> dict[str, Any]:
        return dict(self.prompt.model_kwargs)

    @property
    def metadata(self) -> dict[str, Any]:
        return dict(self.prompt.metadata)


@dataclass(frozen=True)
class Calls:
    """What Cornerman's own agents make calls of several roles with, on the case's budget."""

    llm: LLM
    scope: CallScope
    settings: Settings


@dataclass
class AgentContext:
    """What an agent may use besides its inputs and prompts.

    Args:
        chat: `await context.chat(messages, prompt=prompts["system"])` makes a call that is
            budgeted, booked in the ledger and retried; returns the answer's text. Calls that an
            agent makes by other means are its own affair and are not in the ledger.
        timeout_seconds: The case's time-out, which covers the agent and its evaluators.
        calls: For Cornerman's own agents.
    """

    run_id: str
    case_id: str
    candidate_id: str
    epoch: int
    chat: Callable[..., Awaitable[str]]
    timeout_seconds: float
    calls: Calls | None = None


Agent = Callable[[dict[str, Any], dict[str, PromptText], AgentContext], Awaitable[Any]]

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def fill_prompt(text: str, inputs: Mapping[str, Any]) -> str:
    """Put inputs into a prompt's `{name}` places; other braces stay as they are."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        return _as_text(inputs[name]) if name in inputs else match[0]

    return _PLACEHOLDER.sub(value, text)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def chat_messages(prompt: Prompt, inputs: Mapping[str, Any]) -> Messages:
    """The default agent's one call: the prompt as system message, the inputs as user message."""
    user = _as_text(next(iter(inputs.values()))) if len(inputs) == 1 else _as_text(dict(inputs))
    return [
        {"role": "system", "content": fill_prompt(prompt.text, inputs)},
        {"role": "user", "content": user},
    ]


async def _chat_agent(
    inputs: dict[str, Any], prompts: dict[str, PromptText], context: AgentContext
) -> Any:
    system = prompts["system"]
    return await context.chat(chat_messages(system.prompt, inputs), prompt=system)


def _callable_agent(target: Any, field_name: str) -> Agent:
    wanted = _count_arguments(target, field_name)

    async def agent(
        inputs: dict[str, Any], prompts: dict[str, PromptText], context: AgentContext
    ) -> Any:
        return await call_any(target, *(inputs, prompts, context)[:wanted])

    return agent


def _count_arguments(target: Any, field_name: str) -> int:
    """How many of (inputs, prompts, context) a callable takes.

    Raises:
        BadInputError: It needs more, or others.
    """
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (ValueError, TypeError):  # some written in C have no signature
        return 3
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 3
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = [p.name for p in positional[3:] if p.default is p.empty]
    needed += [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if needed:
        raise BadInputError(
            f"{field_name}: the agent needs {', '.join(needed)}; it gets (inputs, prompts, "
            "context), by position.",
            field=field_name,
        )
    return min(len(positional), 3)


def _runnable_agent(runnable: Any) -> Agent:
    async def agent(
        inputs: dict[str, Any], prompts: dict[str, PromptText], context: AgentContext
    ) -> Any:
        # LangChain and LangGraph read per-call values from `configurable`.
        configurable = {
            "prompts": {name: str(prompt) for name, prompt in prompts.items()},
            "thread_id": f"{context.run_id}/{context.candidate_id}/{context.case_id}",
            "context": context,
        }
        return await runnable.ainvoke(inputs, config={"configurable": configurable})

    return agent


def _http_agent(url: str, headers: dict[str, str]) -> Agent:
    def resolved() -> dict[str, str]:
        where = "graph_config.http.headers"
        return {k: resolve_references(v, f"{where}.{k}") for k, v in headers.items()}

    # What is missing must show before anything is spent. Kept unresolved all the same: a
    # reference is looked up for each call, and nothing that holds headers holds a secret.
    resolved()

    async def agent(
        inputs: dict[str, Any], prompts: dict[str, PromptText], context: AgentContext
    ) -> Any:
        texts = {name: str(prompt) for name, prompt in prompts.items()}
        return await call_http_agent(url, resolved(), inputs, texts, context.timeout_seconds)

    return agent


def build_agent(graph: GraphOptions | None, allowed: list[str]) -> Agent:
    """Make the agent that a request describes.

    Raises:
        EntrypointRefusedError: Its module is not on the allow-list; it was not imported.
        BadInputError: It cannot be imported or called.
    """
    if graph is not None and graph.http is not None:
        return _http_agent(graph.http.url, graph.http.headers)
    if graph is None or graph.entrypoint is None:
        return _chat_agent
    field_name = "graph_config.entrypoint"
    target = load_entrypoint(graph.entrypoint, allowed, field_name)
    if inspect.isclass(target):
        target = _instance(target, graph.entrypoint, field_name)
    if hasattr(target, "ainvoke"):
        return _runnable_agent(target)
    if callable(target):
        return _callable_agent(target, field_name)
    raise BadInputError(
        f"{field_name}: {graph.entrypoint!r} is a {type(target).__name__}; expected a callable "
        "(inputs, prompts, context) -> output, or an object with ainvoke.",
        field=field_name,
    )


def _instance(kind: type[Any], entrypoint: str, field_name: str) -> Any:
    try:
        return kind()
    except Exception as error:
        raise BadInputError(
            f"{field_name}: {entrypoint!r} is a class that could not be made without arguments: "
            f"{type(error).__name__}: {error}",
            field=field_name,
        ) from error


def prompts_for_agent(prompts: Prompts) -> dict[str, PromptText]:
    """The candidate's prompts in the agent's form, made anew for each case."""
    return {name: PromptText(prompt.model_copy(deep=True)) for name, prompt in prompts.items()}


def isolated(value: Any) -> Any:
    """A copy that a case may change without any other case seeing it."""
    return copy.deepcopy(value)
