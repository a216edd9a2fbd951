"""What a model call may cost and what it did cost."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from cornerman.clients.rates import Rates, RateTier
from cornerman.domain.errors import UnpricedModelError
from cornerman.domain.money import Price

# The rehearsal endpoint is free; its models are priced as gpt-4o-mini was at its start, so that
# budgets, costs and the kill-switch mean something in a rehearsal too.
REHEARSAL_PREFIX = "rehearsal-"
REHEARSAL_PRICE = Price(Decimal("0.15"), Decimal("0.60"), Decimal("0.075"))


class PriceBook:
    """Prices by model name: the user's own first, then the rehearsal's, then genai-prices.

    Args:
        overrides: `MODEL_PRICES`; they win over the table.
        base_url: The endpoint's address. One that the table knows decides whose price holds, as
            the same model costs different money at different providers.
    """

    def __init__(
        self, overrides: Mapping[str, Price] | None = None, *, base_url: str | None = None
    ) -> None:
        self._overrides = {
            model: Rates("MODEL_PRICES", (RateTier(0, price),))
            for model, price in (overrides or {}).items()
        }
        self._base_url = base_url

    def require(self, model: str, *, embedding: bool = False) -> Rates:
        """Return the model's prices of now.

        Args:
            embedding: Only input is paid for, so that a price of the output is not asked for.

        Raises:
            UnpricedModelError: Neither the table nor MODEL_PRICES knows the model.
        """
        if rates := self._overrides.get(model):
            return rates
        if model.startswith(REHEARSAL_PREFIX):
            return Rates("rehearsal", (RateTier(0, REHEARSAL_PRICE),))
        # The table takes 0.4 s to import, which a rehearsal or a help text need not wait for.
        from cornerman.clients.price_table import find_rates

        rates = find_rates(model, self._base_url, datetime.now(UTC), embedding=embedding)
        if rates is None:
            raise UnpricedModelError(model)
        return rates

    def context_window(self, model: str) -> int | None:
        """Tokens that the model reads, where the table says so."""
        if model in self._overrides or model.startswith(REHEARSAL_PREFIX):
            return None
        from cornerman.clients.price_table import find_window

        return find_window(model, self._base_url)

    def cost_pico(
        self, model: str, input_tokens: int, output_tokens: int, cached_tokens: int = 0
    ) -> int:
        """Cost of a call in picodollars. Raises UnpricedModelError."""
        return self.require(model).cost_pico(input_tokens, output_tokens, cached_tokens)

    def worst_cost_pico(self, model: str, input_tokens: int, output_tokens: int) -> int:
        """The most that a call may cost, in picodollars. Raises UnpricedModelError."""
        return self.require(model).worst_cost_pico(input_tokens, output_tokens)
