"""What the tests of the model client share."""

from __future__ import annotations

from random import Random
from typing import Any

from pydantic import SecretStr

from cornerman.clients.llm import LLM, ChatRequest, Clock, LLMEndpoint
from cornerman.clients.prices import PriceBook
from cornerman.domain.money.ledger import CallScope, Meter
from tests.support.llm_standin import LLMStandin

KEY = "sk-secret-0123456789abcdef"
SCOPE = CallScope(run_id="r1", subject="case-1")
MODEL = "gpt-4o-mini"


class FastClock:
    """Real time with waits that are noted and skipped."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    @property
    def clock(self) -> Clock:
        return Clock(sleep=self.sleep)


def open_llm(
    server: LLMStandin | str,
    meter: Meter,
    *,
    clock: Clock | None = None,
    cache: bool = False,
    simulated: bool = False,
    retries: int = 4,
) -> LLM:
    url = server if isinstance(server, str) else server.base_url
    endpoint = LLMEndpoint(url, SecretStr(KEY), simulated, PriceBook(), retries=retries)
    return LLM(endpoint, meter, cache=cache, clock=clock or FastClock().clock, rng=Random(1))


def ask(text: str = "hello", **fields: Any) -> ChatRequest:
    messages = ({"role": "user", "content": text},)
    return ChatRequest(**{"role": "agent", "model": MODEL, "messages": messages, **fields})
