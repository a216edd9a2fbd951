"""Agents of the user's own, as they are: callables, runnables, and other frameworks' agents.

No framework is imported here: each is told by its classes' module.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Mapping
from typing import Any, cast

from cornerman.clients.http_agent import call_chat_agent, call_http_agent
from cornerman.domain.aio import call_any, call_in_thread
from cornerman.domain.entrypoints import load_entrypoint
from cornerman.domain.errors import BadInputError
from cornerman.domain.training import GraphOptions
from cornerman.domain.training.candidates import Prompt
from cornerman.domain.training.options import HttpAgentOptions
from cornerman.settings import resolve_references
from cornerman.tasks.agent import (
    Agent,
    AgentContext,
    PromptText,
    chat_agent,
    demo_messages,
    fill_prompt,
    system_prompt,
    talk_of,
    user_text,
)

# What DSPy adds to an answer on the way to it.
_ON_THE_WAY = {"reasoning", "rationale", "trajectory"}


def build_agent(
    graph: GraphOptions | None, allowed: list[str], field: str = "graph_config"
) -> Agent:
    """Make the agent that a request or a workflow describes.

    Args:
        field: Where it is described, for messages.

    Raises:
        EntrypointRefusedError: Its module is not on the allow-list; it was not imported.
        BadInputError: It cannot be imported or called.
    """
    if graph is not None and graph.http is not None:
        return _http_agent(graph.http, f"{field}.http")
    if graph is None or graph.entrypoint is None:
        return chat_agent
    field = f"{field}.entrypoint"
    target = load_entrypoint(graph.entrypoint, allowed, field)
    if inspect.isclass(target):
        target = _instance(target, graph.entrypoint, field)
    if _is_of(target, "pydantic_ai", "AbstractAgent"):
        return _pydantic_ai_agent(target)
    if _is_of(target, "agents", "AgentBase"):
        return _openai_agent(target)
    if _is_of(target, "dspy", "Module"):
        return _dspy_agent(target)
    if hasattr(target, "ainvoke"):
        return _runnable_agent(target)
    if callable(target):
        return _callable_agent(target, field)
    raise BadInputError(
        f"{field}: {graph.entrypoint!r} is a {type(target).__name__}; expected a callable "
        "(inputs, prompts, context) -> output, an object with ainvoke, a pydantic-ai or "
        "openai-agents agent, or a DSPy module.",
        field=field,
    )


def _instance(kind: type[Any], entrypoint: str, field: str) -> Any:
    try:
        return kind()
    except Exception as error:
        raise BadInputError(
            f"{field}: {entrypoint!r} is a class that could not be made without arguments: "
            f"{type(error).__name__}: {error}",
            field=field,
        ) from error


def _is_of(target: Any, package: str, name: str) -> bool:
    """Whether an object is of a framework's class, told without importing the framework."""
    return any(
        kind.__name__ == name and kind.__module__.partition(".")[0] == package
        for kind in type(target).__mro__
    )


# -- callables and runnables


def _callable_agent(target: Any, field: str) -> Agent:
    wanted = _count_arguments(target, field)

    async def agent(
        inputs: dict[str, Any], prompts: dict[str, PromptText], context: AgentContext
    ) -> Any:
        return await call_any(target, *(inputs, prompts, context)[:wanted])

    return agent


def _count_arguments(target: Any, field: str) -> int:
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
            f"{field}: the agent needs {', '.join(needed)}; it gets (inputs, prompts, "
            "context), by position.",
            field=field,
        )
    return min(len(positional), 3)


def _runnable_agent(runnable: Any) -> Agent:
    asks = _asks_for_messages(runnable)

    async def agent(
        inputs: dict[str, Any], prompts: dict[str, PromptText], context: AgentContext
    ) -> Any:
        given: Any = inputs
        if asks:
            messages = message_list(inputs, prompts, context)
            given = messages if asks == "list" else inputs | {"messages": messages}
        # LangChain and LangGraph read per-call values from `configurable`.
        configurable = {
            "prompts": prompts,
            "thread_id": context.thread_id,
            "context": context,
        }
        return await runnable.ainvoke(given, config={"configurable": configurable})

    return agent


def _asks_for_messages(runnable: Any) -> str:
    """How a runnable takes messages: `state` under that key, `list` bare, or "" not at all."""
    if hasattr(runnable, "_llm_type"):
        return "list"
    schema = getattr(getattr(runnable, "builder", None), "input_schema", None)
    if schema is not None:
        try:
            return "state" if "messages" in typing.get_type_hints(schema) else ""
        except Exception:  # noqa: BLE001 - annotations that cannot be resolved
            return "state" if "messages" in getattr(schema, "__annotations__", {}) else ""
    try:
        described = runnable.get_input_jsonschema()
    except Exception:  # noqa: BLE001 - an object of the user's own may have no such thing
        return ""
    properties = described.get("properties") if isinstance(described, dict) else None
    return "state" if isinstance(properties, dict) and "messages" in properties else ""


def message_list(
    inputs: Mapping[str, Any], prompts: Mapping[str, PromptText], context: AgentContext
) -> list[dict[str, Any]]:
    """The trained prompt as system message, if there is one, then what the agent is told.

    Inputs that are a conversation (`messages`) stay one; any others are one user message. Where
    only what is new is sent, the agent has had its system message with the first turn.
    """
    talk = talk_of(inputs)
    told = [_message("user", user_text(inputs))] if talk is None else talk
    instructions = instructions_of(inputs, prompts, context)
    if context.turn and talk is not None and _is_new_only(talk):
        return told
    system = system_prompt(prompts)
    shown = [] if system is None or talk is not None else demo_messages(system.prompt)
    first = [_message("system", instructions)] if instructions else []
    return [*first, *shown, *told]


def instructions_of(
    inputs: Mapping[str, Any], prompts: Mapping[str, PromptText], context: AgentContext
) -> str:
    """The prompt that stands first, filled, and in a battle the situation; empty without both."""
    system = system_prompt(prompts)
    filled = "" if system is None else fill_prompt(str(system), inputs)
    return "\n\n".join(part for part in (filled, context.situation) if part)


def _is_new_only(talk: list[dict[str, Any]]) -> bool:
    return all(message.get("role") != "assistant" for message in talk)


def _message(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}


# -- other frameworks' agents


def _pydantic_ai_agent(target: Any) -> Agent:
    async def agent(
        inputs: dict[str, Any], prompts: dict[str, PromptText], context: AgentContext
    ) -> Any:
        asked, before = _asked_and_before(inputs)
        before = before or _shown_before(inputs, prompts)
        history = _pydantic_ai_history(before) if before else None
        instructions = instructions_of(inputs, prompts, context)
        if not instructions:
            return (await target.run(asked, message_history=history)).output
        with target.override(instructions=instructions):
            return (await target.run(asked, message_history=history)).output

    return agent


def _shown_before(
    inputs: Mapping[str, Any], prompts: Mapping[str, PromptText]
) -> list[dict[str, Any]]:
    """The demonstrations of the prompt that stands first; a conversation has its own turns."""
    system = system_prompt(prompts)
    if system is None or talk_of(inputs) is not None:
        return []
    return [turn for turn in demo_messages(system.prompt) if turn["role"] in ("user", "assistant")]


def _asked_and_before(inputs: Mapping[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """What the agent is asked now, and the conversation before it."""
    talk = talk_of(inputs)
    if not talk:
        return user_text(inputs), []
    return str(talk[-1].get("content") or ""), talk[:-1]


def _pydantic_ai_history(talk: list[dict[str, Any]]) -> list[Any]:
    # It is imported, since the agent is one of its own.
    kinds: Any = sys.modules["pydantic_ai.messages"]
    return [
        kinds.ModelResponse(parts=[kinds.TextPart(content=message["content"])])
        if message["role"] == "assistant"
        else kinds.ModelRequest(parts=[kinds.UserPromptPart(content=message["content"])])
        for message in talk
    ]


def _openai_agent(target: Any) -> Agent:
    async def agent(
        inputs: dict[str, Any], prompts: dict[str, PromptText], context: AgentContext
    ) -> Any:
        # It is imported, since the object is one of its own.
        runner: Any = sys.modules["agents"].Runner  # pyright: ignore[reportAttributeAccessIssue]
        instructions = instructions_of(inputs, prompts, context)
        used = target.clone(instructions=instructions) if instructions else target
        given = talk_of(inputs) or user_text(inputs)
        if shown := _shown_before(inputs, prompts):
            given = [*shown, _message("user", user_text(inputs))]
        return (await runner.run(used, given)).final_output

    return agent


def _dspy_agent(target: Any) -> Agent:
    async def agent(
        inputs: dict[str, Any], prompts: dict[str, PromptText], context: AgentContext
    ) -> Any:
        module = target.deepcopy()
        fields = dict[str, Any]()
        for name, predictor in module.named_predictors():
            fields |= predictor.signature.input_fields
            text = prompts.get(name)
            if text is None:
                text = system_prompt(prompts)
            words = [part for part in (text and str(text), context.situation) if part]
            if text is not None and text.prompt.demos:
                predictor.demos = _dspy_demos(text.prompt, predictor.signature)
            if words:
                signature = predictor.signature.with_instructions("\n\n".join(words))
                predictor.signature = signature
        given = _dspy_inputs(inputs, fields)
        if hasattr(module, "aforward"):
            said = await module.acall(**given)
        else:
            said = await call_in_thread(module, **given)
        return _fields_of(said)

    return agent


def _dspy_demos(prompt: Prompt, signature: Any) -> list[dict[str, Any]]:
    """Demonstrations as a predictor keeps them; a plain output is its last field's."""
    outputs = list(signature.output_fields)
    return [
        {
            **demo.inputs,
            **(demo.output if isinstance(demo.output, dict) else {outputs[-1]: demo.output}),
        }
        for demo in prompt.demos
    ]


def _dspy_inputs(inputs: dict[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """A case's inputs as they are; of a conversation what the module's signature has fields for.

    A field of another name gets what was said last, and one of dspy.History what came before.
    """
    if talk_of(inputs) is None:
        return inputs
    asked, before = _asked_and_before(inputs)
    given = {name: value for name, value in inputs.items() if name in fields}
    for name, info in fields.items():
        if getattr(info.annotation, "__name__", "") == "History":
            given[name] = info.annotation(messages=before)
        else:
            given.setdefault(name, asked)
    return given


def _fields_of(prediction: Any) -> Any:
    if not hasattr(prediction, "toDict"):
        return prediction
    fields = cast("dict[str, Any]", prediction.toDict())
    answer = {name: value for name, value in fields.items() if name not in _ON_THE_WAY}
    return next(iter(answer.values())) if len(answer) == 1 else answer


# -- agents at an address


def _http_agent(options: HttpAgentOptions, field: str) -> Agent:
    def resolved() -> dict[str, str]:
        where = f"{field}.headers"
        return {k: resolve_references(v, f"{where}.{k}") for k, v in options.headers.items()}

    # What is missing must show before anything is spent. Kept unresolved all the same: a
    # reference is looked up for each call, and nothing that holds headers holds a secret.
    resolved()

    async def agent(
        inputs: dict[str, Any], prompts: dict[str, PromptText], context: AgentContext
    ) -> Any:
        headers = resolved()
        if context.base_url:
            headers["X-OpenAI-Base-Url"] = context.base_url
            headers["X-OpenAI-Api-Key"] = context.api_key
        if options.protocol == "openai":
            messages = message_list(inputs, prompts, context)
            return await call_chat_agent(
                options.url, headers, options.model, messages, context.timeout_seconds
            )
        texts = {name: str(prompt) for name, prompt in prompts.items()}
        body = {"inputs": inputs, "prompts": texts, "thread_id": context.thread_id}
        if demos := {name: prompt.demos for name, prompt in prompts.items() if prompt.demos}:
            body["demos"] = demos
        return await call_http_agent(options.url, headers, body, context.timeout_seconds)

    return agent
