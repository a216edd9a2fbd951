"""A ledger in memory, for tests that do not care about the database."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass

from cornerman.domain.errors import BudgetExceededError, KillSwitchActiveError
from cornerman.domain.money import pico_to_usd
from cornerman.domain.money.ledger import Also, CallEstimate, CallOutcome, CallScope


@dataclass
class Row:
    """One call: what was reserved and, once settled, what became of it."""

    id: str
    scope: CallScope
    call: CallEstimate
    outcome: CallOutcome | None = None


class MemoryMeter:
    """Implements `cornerman.domain.money.ledger.Meter` on a dictionary.

    `rows` are in order of reservation. Set `kill_switch` to a reason to refuse every call.
    """

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.answers: dict[str, str] = {}
        self.limits: dict[tuple[str, str], int] = {}
        self.kill_switch: str | None = None
        self.spent: defaultdict[str, int] = defaultdict(int)
        self.reserved: defaultdict[str, int] = defaultdict(int)
        self._settled = asyncio.Condition()

    @property
    def outcomes(self) -> list[str]:
        """Outcome of each call in order; `open` when it was never settled."""
        return [row.outcome.outcome if row.outcome else "open" for row in self.rows.values()]

    @property
    def cost_pico(self) -> int:
        """What all settled calls cost."""
        return sum(row.outcome.cost_pico for row in self.rows.values() if row.outcome)

    async def reserve(self, scope: CallScope, call: CallEstimate) -> str:
        async with self._settled:
            while not self._fits(scope, call.worst_cost_pico):
                await self._settled.wait()
            for budget in scope.budgets:
                self.reserved[budget] += call.worst_cost_pico
            return self._add(scope, call).id

    async def settle(self, call_id: str, outcome: CallOutcome, also: Also | None = None) -> None:
        async with self._settled:
            row = self.rows[call_id]
            if row.outcome is not None:
                return
            row.outcome = outcome
            for budget in row.scope.budgets:
                self.reserved[budget] -= row.call.worst_cost_pico
                self.spent[budget] += outcome.cost_pico
            if also is not None:
                also(self)
            self._settled.notify_all()

    async def cached(self, scope: CallScope, call: CallEstimate, cache_key: str) -> str | None:
        answer = self.answers.get(cache_key)
        if answer is not None:
            self._add(scope, call).outcome = CallOutcome("cached")
        return answer

    async def store_cached(self, cache_key: str, answer: str) -> None:
        self.answers[cache_key] = answer

    async def output_limit(self, endpoint: str, model: str) -> int:
        return self.limits.get((endpoint, model), 0)

    async def store_output_limit(self, endpoint: str, model: str, tokens: int) -> None:
        self.limits[endpoint, model] = max(tokens, self.limits.get((endpoint, model), 0))

    def _add(self, scope: CallScope, call: CallEstimate) -> Row:
        row = Row(f"call-{len(self.rows) + 1}", scope, call)
        self.rows[row.id] = row
        return row

    def _fits(self, scope: CallScope, worst: int) -> bool:
        if self.kill_switch is not None:
            raise KillSwitchActiveError(self.kill_switch)
        for name, limit in scope.budgets.items():
            if self.spent[name] + worst > limit:
                raise BudgetExceededError(
                    name,
                    limit_usd=pico_to_usd(limit),
                    spent_usd=pico_to_usd(self.spent[name]),
                    needed_usd=pico_to_usd(worst),
                )
        return all(
            self.spent[name] + self.reserved[name] + worst <= limit
            for name, limit in scope.budgets.items()
        )
