"""`context.chat`: the model calls that an agent asks Cornerman to make for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from cornerman.clients.llm import LLM, ChatRequest
from cornerman.domain.money.ledger import CallScope
from cornerman.domain.seeds import derived_seed
from cornerman.domain.traces import PromptFinder
from cornerman.settings import Settings
from cornerman.tasks.agent import PromptText


def _always() -> None:
    return None


@dataclass
class AgentChat:
    """Makes an agent's calls on one case's or battle's budget; called as `context.chat`.

    Args:
        seed: From which each call's own is derived.
        finder: Tells which of the candidate's prompts are in a call.
        require_open: Raises when its case can make no more calls.
        finished: Told of each answer's finish reason.
    """

    llm: LLM
    settings: Settings
    scope: Callable[[], CallScope]
    seed: tuple[int, object]
    finder: PromptFinder
    timeout_seconds: float
    require_open: Callable[[], None] = _always
    finished: Callable[[str | None], None] | None = None
    calls: int = 0

    def __call__(
        self, messages: list[dict[str, Any]], *, prompt: PromptText | None = None, **kwargs: Any
    ) -> Awaitable[str]:
        return self._chat(messages, prompt, kwargs)

    async def _chat(
        self, messages: list[dict[str, Any]], prompt: PromptText | None, kwargs: dict[str, Any]
    ) -> str:
        self.require_open()
        self.calls += 1
        extra = (dict(prompt.model_kwargs) if prompt is not None else {}) | kwargs
        model = extra.pop("model", None) or (prompt.model if prompt is not None else None)
        request = ChatRequest(
            role="agent",
            model=model or self.settings.model_for("agent"),
            messages=tuple(dict(message) for message in messages),
            prompts=self.finder.names_in(messages),
            # At temperature 0 a seed means nothing and would only defeat the response cache.
            seed=derived_seed(*self.seed, self.calls) if extra.get("temperature") else None,
            extra=extra,
            timeout_seconds=self.timeout_seconds,
        )
        answer = await self.llm.chat(self.scope(), request)
        if self.finished is not None:
            self.finished(answer.finish_reason)
        return answer.text
