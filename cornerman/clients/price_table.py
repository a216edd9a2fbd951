"""Prices from the genai-prices package. Import it late: the table takes 0.4 s to load.

`genai_prices.calc_price` validates its registry at each call; a call's cost is needed twice per
model call, so a model's prices are read from the table once and computed by `Rates`. The tests
compare the two over the whole table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

from genai_prices.data_snapshot import find_provider_by_id, get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

from cornerman.clients.rates import Rates, RateTier
from cornerman.domain.money import Price

_DATE = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")


def find_rates(
    model: str, base_url: str | None, now: datetime, *, embedding: bool = False
) -> Rates | None:
    """Return the prices of `model` at `now`, or None when the table has none.

    Args:
        model: As the endpoint calls it: `gpt-4o-mini`, `gpt-4o-mini-2024-07-18`,
            `openai/gpt-4o-mini`, `openrouter/openai/gpt-4o`.
        base_url: The endpoint; when the table knows it, its provider is asked first.
        embedding: The model gives no output that is paid for.
    """
    found = _find_model(model, base_url)
    if found is None:
        return None
    provider_id, info = found
    prices = info.get_prices(now)
    return _rates(f"genai-prices {provider_id}/{info.id}", prices, embedding=embedding)


def find_window(model: str, base_url: str | None) -> int | None:
    """Tokens that a model reads; None where the table does not say."""
    found = _find_model(model, base_url)
    return None if found is None else found[1].context_window


@lru_cache(maxsize=1024)
def _find_model(model: str, base_url: str | None) -> tuple[str, ModelInfo] | None:
    for name, provider_id, url in _lookups(model, base_url):
        try:
            provider, info = get_snapshot().find_provider_model(name, None, provider_id, url)
        except LookupError:
            continue
        return provider.id, info
    return None


def _lookups(model: str, base_url: str | None) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield (name, provider id, provider address) to try, the most telling first."""
    names = [model]
    if _DATE.search(model):
        names.append(_DATE.sub("", model))
    for name in names:
        if base_url:
            yield name, None, base_url
        yield name, None, None
        prefix, slash, rest = name.partition("/")
        if slash and find_provider_by_id(get_snapshot().providers, prefix):
            yield rest, prefix, None


def _rates(source: str, prices: ModelPrice, *, embedding: bool = False) -> Rates | None:
    values: dict[str, Decimal | TieredPrices | None] = dict(vars(prices))
    if embedding and values.get("output_mtok") is None:
        values["output_mtok"] = Decimal(0)
    # A model without either price is no chat model, or one whose calls cannot be bounded.
    if values.get("input_mtok") is None or values.get("output_mtok") is None:
        return None
    starts = {0}
    for value in values.values():
        if isinstance(value, TieredPrices):
            starts.update(tier.start for tier in value.tiers)
    return Rates(source, tuple(_tier(values, start) for start in sorted(starts)))


def _tier(values: dict[str, Decimal | TieredPrices | None], start: int) -> RateTier:
    def at(key: str) -> Decimal | None:
        value = values.get(key)
        if not isinstance(value, TieredPrices):
            return value
        reached = [tier.price for tier in value.tiers if tier.start <= start]
        return reached[-1] if reached else value.base

    # Reasoning and citations are counted as output: the dearest of the three prices all of it.
    output = [at(key) for key in ("output_mtok", "output_reasoning_mtok", "output_citation_mtok")]
    requests = at("requests_kcount")
    return RateTier(
        over_input_tokens=start,
        price=Price(
            input_usd=at("input_mtok") or Decimal(0),
            output_usd=max(price for price in output if price is not None),
            cached_input_usd=at("cache_read_mtok"),
        ),
        cache_write_usd=at("cache_write_mtok"),
        request_usd=(requests or Decimal(0)) / 1000,
    )
