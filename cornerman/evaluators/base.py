"""Fits an evaluator's config and chat function to the parameters that it has.

Builds evaluators from a request: functions or classes, sync or async, all called alike.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from cornerman.domain.aio import call_in_thread
from cornerman.domain.entrypoints import check_entrypoint, load_entrypoint
from cornerman.domain.errors import BadInputError, StopError
from cornerman.domain.training import EvaluatorOptions
from cornerman.domain.training.cases import EvaluationContext, Score
from cornerman.domain.training.outputs import part_at
from cornerman.domain.training.parse import bad_input
from cornerman.evaluators.verdicts import EvaluatorFailure, failure_of, to_score


class ChatFunction(Protocol):
    """One chat call for an evaluator. It books its own cost on the case being scored."""

    async def __call__(
        self, messages: list[dict[str, str]], *, json_schema: dict[str, Any] | None = None
    ) -> str:
        """Return the answer's text.

        Args:
            messages: OpenAI-style messages with `role` and `content`.
            json_schema: Schema that the answer should follow; the caller still validates.
        """
        ...


def bind(
    found: Any, spec: EvaluatorOptions, chat: ChatFunction | None, field: str
) -> Callable[..., Any]:
    """Return what to call with a context, its config and chat function filled in."""
    if inspect.isclass(found):
        return _method_of(_instance(found, spec, chat, field), spec, field)
    if inspect.isroutine(found):
        return _with_arguments(found, spec, chat, field)
    call = _method_of(found, spec, field)
    return _with_arguments(call, spec, chat, field)


def _method_of(instance: Any, spec: EvaluatorOptions, field: str) -> Callable[..., Any]:
    for name in ("evaluate", "__call__"):
        method = getattr(instance, name, None)
        if callable(method):
            return method
    raise BadInputError(
        f"{field}.entrypoint: {spec.entrypoint} is {type(instance).__name__}, which has neither "
        "evaluate(context) nor __call__(context)",
        field=f"{field}.entrypoint",
    )


def _instance(
    kind: type[Any], spec: EvaluatorOptions, chat: ChatFunction | None, field: str
) -> Any:
    is_model = issubclass(kind, BaseModel)  # it words its own refusals
    arguments = spec.config if is_model else _arguments(kind, spec, chat, field, skip=0)
    try:
        return kind(**arguments)
    except ValidationError as error:
        wrong = bad_input(error, kind if is_model else BaseModel)
        raise BadInputError(
            f"{field}.config.{wrong.message}", field=f"{field}.config.{wrong.field}"
        ) from error
    except Exception as error:
        raise BadInputError(
            f"{field}.config: {spec.entrypoint} refused it: {type(error).__name__}: {error}",
            field=f"{field}.config",
        ) from error


def _with_arguments(
    call: Callable[..., Any], spec: EvaluatorOptions, chat: ChatFunction | None, field: str
) -> Callable[..., Any]:
    arguments = _arguments(call, spec, chat, field, skip=1)
    return functools.partial(call, **arguments) if arguments else call


def _arguments(
    call: Callable[..., Any],
    spec: EvaluatorOptions,
    chat: ChatFunction | None,
    field: str,
    *,
    skip: int,
) -> dict[str, Any]:
    """Return the keyword arguments that hand over config and chat.

    Args:
        skip: Leading parameters that are not config: 1 for a function's context.

    Raises:
        BadInputError: The config has keys that are not taken, or lacks some that are needed.
    """
    parameters = _parameters(call)[skip:]
    named = {each.name: each for each in parameters if each.kind not in _NOT_BY_NAME}
    open_ended = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters)
    needed = {name for name, each in named.items() if each.default is inspect.Parameter.empty}
    whole = next((name for name in _WHOLE_CONFIG if name in named and name not in spec.config), "")
    given: dict[str, Any] = {whole: dict(spec.config)} if whole else dict(spec.config)
    if chat is not None and "chat" in named:
        given["chat"] = chat
    unknown = set() if open_ended else set(given) - set(named)
    missing = needed - set(given)
    if missing == {"chat"}:
        raise BadInputError(
            f"{field}.entrypoint: {spec.entrypoint} asks a model, and none is set here",
            field=f"{field}.entrypoint",
        )
    if unknown or missing:
        wrong = [f"unknown {name}" for name in sorted(unknown)]
        wrong += [f"{name} is required" for name in sorted(missing)]
        taken = ", ".join(name for name in named if name != "chat") or "nothing"
        raise BadInputError(
            f"{field}.config: {'; '.join(wrong)}; {spec.entrypoint} takes {taken}",
            field=f"{field}.config",
        )
    return given


# A parameter of such a name takes the whole config as one dict.
_WHOLE_CONFIG = ("config", "cfg", "options", "settings")
_NOT_BY_NAME = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.VAR_KEYWORD,
)


def _parameters(call: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(call).parameters.values())
    except (ValueError, TypeError):  # some written in C have none
        return []


__all__ = ["ChatFunction", "Evaluator", "EvaluatorFailure", "build_evaluator", "build_evaluators"]

Evaluator = Callable[[EvaluationContext], Awaitable[Score]]


def build_evaluators(
    specs: Sequence[EvaluatorOptions], *, allowed: Sequence[str], chat: ChatFunction | None = None
) -> dict[str, Evaluator]:
    """Return a request's evaluators by id. All entrypoints are checked before one is imported.

    Raises:
        BadInputError: As `build_evaluator`.
    """
    for place, spec in enumerate(specs):
        check_entrypoint(spec.entrypoint, allowed, f"evaluators.{place}.entrypoint")
    return {
        spec.id: build_evaluator(spec, allowed=allowed, chat=chat, field=f"evaluators.{place}")
        for place, spec in enumerate(specs)
    }


def build_evaluator(
    spec: EvaluatorOptions,
    *,
    allowed: Sequence[str],
    chat: ChatFunction | None = None,
    field: str = "evaluators",
) -> Evaluator:
    """Return an awaitable evaluator that gives a `Score` or raises `EvaluatorFailure`.

    Args:
        spec: The evaluator of the request.
        allowed: Module prefixes it may come from.
        chat: For evaluators with a parameter `chat`, such as `llm_judge`. Called within the
            evaluating task's context, so that it can find the case's budget there.
        field: The spec's path in the request, for messages.

    Raises:
        EntrypointRefusedError: Its module is not allowed; nothing was imported.
        BadInputError: It cannot be imported, or does not take the given config.
    """
    found = load_entrypoint(spec.entrypoint, allowed, f"{field}.entrypoint")
    path, spec = _split_path(found, spec)
    call = bind(found, spec, chat, field)

    async def evaluate(context: EvaluationContext) -> Score:
        try:
            if path is not None:
                whole = context.output if context.state is None else context.state
                context = replace(context, output=part_at(whole, path))
            returned = await _call(call, context)
        except (StopError, EvaluatorFailure):
            raise  # a stop ends the run; it is no fault of the case
        except Exception as error:
            raise failure_of(spec.id, error) from error
        return to_score(spec.id, returned)

    return evaluate


def _split_path(found: Any, spec: EvaluatorOptions) -> tuple[str | None, EvaluatorOptions]:
    """`config: {path: ...}`, which names a part of what the agent returned, and the rest.

    An evaluator that has a parameter of that name gets it as any other.
    """
    path = spec.config.get("path")
    fields = getattr(found, "model_fields", {})
    own = "path" in fields or any(each.name == "path" for each in _parameters(found))
    if own or not isinstance(path, str) or not path:
        return None, spec
    rest = {name: value for name, value in spec.config.items() if name != "path"}
    return path, spec.model_copy(update={"config": rest})


async def _call(call: Callable[..., Any], context: EvaluationContext) -> Any:
    if _is_async(call):
        return await call(context)
    if getattr(getattr(call, "__self__", None), "instant", False):
        return call(context)
    returned = await call_in_thread(call, context)
    # A sync wrapper around an async function hands back what still must be awaited.
    return await returned if inspect.isawaitable(returned) else returned


def _is_async(call: Any) -> bool:
    inner = getattr(call, "func", call)  # through functools.partial
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(
        getattr(type(inner), "__call__", None)  # noqa: B004 - its kind is asked, not its presence
    )
