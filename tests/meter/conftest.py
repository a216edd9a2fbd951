"""What the meter's tests stand on: a run's account, a key on it, and what its ledger says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import openai
import pytest
from pydantic import SecretStr
from sqlalchemy import select

from cornerman.clients.llm_types import LLMEndpoint
from cornerman.clients.prices import PriceBook
from cornerman.domain.errors import StopError
from cornerman.domain.money import Price, usd_to_pico
from cornerman.domain.money.ledger import CallScope
from cornerman.domain.traces import PromptFinder
from cornerman.meter.accounts import AnthropicEndpoint, CaseKey, RunAccount
from cornerman.meter.server import meter_server
from cornerman.storage import traces
from cornerman.storage.database import Database
from cornerman.storage.tables import llm_calls
from cornerman.tasks.meter import DatabaseMeter
from tests.storage.samples import make_run
from tests.support.upstream import Upstream

REAL_KEY = "sk-the-real-key-of-the-tests"
SUBJECT = "case:c0/1/0"
# USD per million tokens: a token in costs 1 micro-dollar, one out 2.
PRICES = {name: Price(1, 2) for name in ("gpt-test", "claude-test", "embed-test")}
MICRO = 10**6


@dataclass
class Metered:
    """A run at the meter, and one case's key."""

    account: RunAccount
    key: CaseKey
    db: Database
    upstream: Upstream
    stops: list[StopError] = field(default_factory=list[StopError])
    allowed: list[Exception] = field(default_factory=list[Exception])

    @property
    def url(self) -> str:
        return meter_server().openai_url

    def client(self, **options: Any) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=self.url, api_key=self.key.token, **options)

    def calls(self) -> list[Any]:
        """The ledger's rows in the order in which they were reserved."""
        with self.db.reading() as session:
            query = select(llm_calls).order_by(llm_calls.c.created_at)
            return list(session.execute(query))

    def outcomes(self) -> list[str | None]:
        return [row.outcome for row in self.calls()]

    def cost(self) -> float:
        """Of all calls, in micro-dollars."""
        return sum(row.cost_pico for row in self.calls()) / MICRO

    def trace(self) -> list[dict[str, Any]]:
        with self.db.reading() as session:
            return traces.read_trace(session, "r", SUBJECT)

    async def booked(self, count: int = 1) -> None:
        """Wait until so many calls are settled, at most 5 s."""
        for _ in range(500):
            if sum(row.status == "settled" for row in self.calls()) >= count:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{count} calls were not booked: {self.calls()}")


@pytest.fixture
async def meter(sqlite_db: Database) -> AsyncIterator[Callable[..., Metered]]:
    """`meter(upstream, budget_usd=1.0, record_calls="full")` opens a run and a key on it."""
    make_run(sqlite_db)
    opened = list[Metered]()

    def make(upstream: Upstream, *, budget_usd: float = 1.0, record_calls: Any = "full") -> Metered:
        key = SecretStr(REAL_KEY)
        base = upstream.url
        endpoint = LLMEndpoint(base, key, False, PriceBook(PRICES), max_output_tokens=100)

        def check() -> None:
            if made.allowed:
                raise made.allowed[0]

        account = RunAccount(
            "r",
            endpoint=endpoint,
            anthropic=AnthropicEndpoint(base.removesuffix("/v1"), key),
            meter=DatabaseMeter(sqlite_db),
            scope=lambda subject: CallScope("r", subject, {"run:r": usd_to_pico(budget_usd)}),
            check=check,
            stop=lambda error: made.stops.append(error),
            record=traces.recorder(record_calls),
        )
        made = Metered(
            account,
            account.open_key(SUBJECT, prompts=PromptFinder({"system": "Be {how} and brief."})),
            sqlite_db,
            upstream,
        )
        meter_server().open(account)
        opened.append(made)
        return made

    yield make
    for made in opened:
        await meter_server().close(made.account)
