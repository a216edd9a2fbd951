"""Model calls of evaluators, booked on the case that is being scored."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from contextvars import ContextVar
from typing import Any, Protocol

from cornerman.clients.llm import LLM, ChatRequest
from cornerman.domain.money.ledger import CallScope
from cornerman.settings import Settings

JUDGE_MAX_TOKENS = 512

_scope: ContextVar[Callable[[], CallScope] | None] = ContextVar("case_scope", default=None)


class ChatFunction(Protocol):
    """As `cornerman.evaluators.base.ChatFunction`."""

    async def __call__(
        self, messages: list[dict[str, str]], *, json_schema: dict[str, Any] | None = None
    ) -> str: ...


@contextlib.contextmanager
def judging(scope: Callable[[], CallScope]) -> Generator[None]:
    """Book judges' calls made inside on this scope; it may raise to refuse a call."""
    token = _scope.set(scope)
    try:
        yield
    finally:
        _scope.reset(token)


def judge_chat(llm: LLM, settings: Settings) -> ChatFunction:
    """A chat function for evaluators; it must be called inside `judging`."""

    async def chat(
        messages: list[dict[str, str]], *, json_schema: dict[str, Any] | None = None
    ) -> str:
        scope = _scope.get()
        if scope is None:
            raise RuntimeError("An evaluator made a model call outside of a case.")
        schema = None
        if json_schema is not None:
            schema = {
                "type": "json_schema",
                "json_schema": {"name": "verdict", "schema": json_schema, "strict": True},
            }
        request = ChatRequest(
            role="judge",
            model=settings.model_for("judge"),
            messages=tuple(dict(message) for message in messages),
            max_tokens=JUDGE_MAX_TOKENS,
            response_format=schema,
        )
        return (await llm.chat(scope(), request)).require_said("The judge")

    return chat
