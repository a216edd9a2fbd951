"""What one model costs, in tiers; the table and the price book both speak in these."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

from cornerman.clients.chat_answer import Usage
from cornerman.domain.money import Price, usd_to_pico


@dataclass(frozen=True)
class RateTier:
    """Prices that hold for calls with more than `over_input_tokens` input tokens.

    Args:
        cache_write_usd: Per million input tokens that the provider wrote to its cache; None when
            they cost the same as others.
        request_usd: Per call, whatever its size.
    """

    over_input_tokens: int
    price: Price
    cache_write_usd: Decimal | None = None
    request_usd: Decimal = Decimal(0)

    def cost_pico(self, input_tokens: int, output_tokens: int, cached: int, written: int) -> int:
        pico = self.price.cost_pico(input_tokens, output_tokens, cached)
        if self.cache_write_usd is not None and written:
            extra = (self.cache_write_usd - self.price.input_usd) * written
            pico += usd_to_pico(extra / 1_000_000)
        return pico + usd_to_pico(self.request_usd) if self.request_usd else pico

    def worst_cost_pico(self, input_tokens: int, output_tokens: int) -> int:
        dearest = max(
            self.price.input_usd,
            self.cache_write_usd or Decimal(0),
            self.price.cached_input_usd or Decimal(0),
        )
        worst = Price(dearest, self.price.output_usd)
        return worst.cost_pico(input_tokens, output_tokens) + usd_to_pico(self.request_usd)


@dataclass(frozen=True)
class Rates:
    """One model's prices at one moment; `tiers` ascend and the first holds from 0 tokens.

    Reserve and settle one call with the same `Rates`, so that a price that changes at midnight
    cannot make a call cost more than was reserved.
    """

    source: str
    tiers: tuple[RateTier, ...]

    def cost_pico(
        self,
        input_tokens: int,
        output_tokens: int,
        cached_tokens: int = 0,
        cache_write_tokens: int = 0,
    ) -> int:
        """Cost in picodollars; the highest tier passed prices all of the call's tokens."""
        tier = self.tiers[0]
        for higher in self.tiers[1:]:
            if input_tokens > higher.over_input_tokens:
                tier = higher
        return tier.cost_pico(input_tokens, output_tokens, cached_tokens, cache_write_tokens)

    def usage_pico(self, usage: Usage) -> int:
        """Cost of a call that used so many tokens, in picodollars."""
        return self.cost_pico(
            usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.cache_write_tokens
        )

    def worst_cost_pico(self, max_input_tokens: int, max_output_tokens: int) -> int:
        """The most that a call of at most so many tokens may cost: nothing cached, and the
        dearest of the tiers that it can reach."""
        return max(
            tier.worst_cost_pico(max_input_tokens, max_output_tokens)
            for tier in self.tiers
            if tier.over_input_tokens < max(max_input_tokens, 1)
        )


class Overruns:
    """By how much calls of each model have passed their worst case; none should."""

    def __init__(self) -> None:
        self._factors: dict[str, float] = {}

    def worst_pico(self, model: str, plain_pico: int) -> int:
        """What to reserve for a call whose worst case is `plain_pico` by the model's prices."""
        return math.ceil(plain_pico * self._factors.get(model, 1.0))

    def learn(self, model: str, cost_pico: int, plain_pico: int) -> None:
        """Take in what a call cost whose worst case was `plain_pico`."""
        if plain_pico > 0:
            self._factors[model] = max(self._factors.get(model, 1.0), cost_pico / plain_pico)
