"""How long an answer had to be allowed to be before a model that thinks came to its text.

Each such lesson is paid for: it is kept in the meter's store, for every run to come.
"""

from __future__ import annotations

import contextlib

from cornerman.clients.llm_types import LLMEndpoint
from cornerman.domain.errors import StorageError
from cornerman.domain.money.ledger import Meter

# An answer that found no room is asked for with this many times its limit, and at least so many
# tokens: most models that think spend 1,000 to 8,000, and each try is paid.
_FACTOR, _FIRST_LARGER = 4, 4_096


class OutputLimits:
    """The least limit in tokens that has left each of an endpoint's models room for text."""

    def __init__(self, endpoint: LLMEndpoint, meter: Meter) -> None:
        self._name = endpoint.name
        self._most = endpoint.max_output_tokens
        self._meter = meter
        self._known: dict[str, int] = {}

    async def known(self, model: str) -> int:
        """What is known of a model, of earlier runs too; 0: nothing is."""
        if model not in self._known:
            stored = await self._meter.output_limit(self._name, model)
            self._known[model] = max(min(stored, self._most), self._known.get(model, 0))
        return self._known[model]

    def after(self, limit: int, model: str) -> int | None:
        """The limit to try after one that left no room; None: there is no larger one."""
        if limit >= self._most:
            return None
        known = self._known.get(model, 0)
        return known if known > limit else min(self._most, max(_FACTOR * limit, _FIRST_LARGER))

    async def learn(self, model: str, limit: int) -> None:
        """Keep that an answer found room in so much."""
        if limit <= self._known.get(model, 0):
            return
        self._known[model] = limit
        # Without it the lesson is paid for again; the answer must not be lost for it.
        with contextlib.suppress(StorageError):
            await self._meter.store_output_limit(self._name, model, limit)
