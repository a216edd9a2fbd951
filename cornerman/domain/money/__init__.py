"""Money as whole picodollars, so that a sum of a million calls is exact.

1 USD is 10**12 picodollars; a price of 0.15 USD per million tokens is 150,000 picodollars a
token. A signed 64-bit integer holds 9.2 million USD.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

PICO_PER_USD = 10**12


def usd_to_pico(usd: Decimal | float | int | str) -> int:
    """Convert USD to picodollars, rounded up, so that a cost is never understated."""
    return int((Decimal(str(usd)) * PICO_PER_USD).to_integral_value(ROUND_CEILING))


def pico_to_usd(pico: int) -> float:
    """Convert picodollars to USD for people and JSON."""
    return float(Decimal(pico) / PICO_PER_USD)


@dataclass(frozen=True)
class Price:
    """What a model costs, in USD per million tokens.

    Args:
        input_usd: Per million input tokens.
        output_usd: Per million output tokens.
        cached_input_usd: Per million input tokens served from the provider's cache; None when
            they cost the same as others.
    """

    input_usd: Decimal
    output_usd: Decimal
    cached_input_usd: Decimal | None = None

    def cost_pico(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> int:
        """Cost of one call in picodollars, rounded up.

        Args:
            input_tokens: All input tokens, cached ones included.
            output_tokens: Output tokens, reasoning included.
            cached_tokens: How many of `input_tokens` came from the provider's cache.
        """
        cached = min(cached_tokens, input_tokens)
        cached_price = self.input_usd if self.cached_input_usd is None else self.cached_input_usd
        per_million = (
            self.input_usd * (input_tokens - cached)
            + cached_price * cached
            + self.output_usd * output_tokens
        )
        return usd_to_pico(per_million / Decimal(1_000_000))
