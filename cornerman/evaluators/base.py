"""Builds evaluators from a request: functions or classes, sync or async, all called alike."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from cornerman.domain.aio import call_in_thread
from cornerman.domain.entrypoints import check_entrypoint, load_entrypoint
from cornerman.domain.errors import StopError
from cornerman.domain.training import EvaluatorOptions
from cornerman.domain.training.cases import EvaluationContext, Score
from cornerman.evaluators.binding import ChatFunction, bind
from cornerman.evaluators.verdicts import EvaluatorFailure, failure_of, to_score

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
    call = bind(found, spec, chat, field)

    async def evaluate(context: EvaluationContext) -> Score:
        try:
            returned = await _call(call, context)
        except (StopError, EvaluatorFailure):
            raise  # a stop ends the run; it is no fault of the case
        except Exception as error:
            raise failure_of(spec.id, error) from error
        return to_score(spec.id, returned)

    return evaluate


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
