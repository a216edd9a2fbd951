from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import get_snapshot

from cornerman.clients.price_table import find_rates
from cornerman.clients.prices import PriceBook
from cornerman.domain.errors import UnpricedModelError
from cornerman.domain.money import Price, usd_to_pico

NOW = datetime.now(UTC)
# Priced by us at their dearest, where genai-prices wants to be told the counts.
DEARER = {"output_reasoning_mtok", "output_citation_mtok", "requests_kcount"}


def test_gpt_4o_mini_costs_what_genai_prices_computes():
    usage = Usage(input_tokens=1234, output_tokens=567, cache_read_tokens=89)
    expected = calc_price(usage, model_ref="gpt-4o-mini", provider_id="openai").total_price
    assert PriceBook().cost_pico("gpt-4o-mini", 1234, 567, 89) == usd_to_pico(expected)


@pytest.mark.parametrize("tokens", [(1_000, 500, 0), (150_000, 10, 7), (300_000, 9_000, 1_000)])
def test_all_chat_models_cost_what_genai_prices_computes(tokens: tuple[int, int, int]):
    sent, received, cached = tokens
    usage = Usage(input_tokens=sent, output_tokens=received, cache_read_tokens=cached)
    compared = 0
    for provider in get_snapshot().providers:
        for model in provider.models:
            rates = find_rates(f"{provider.id}/{model.id}", None, NOW)
            prices = vars(model.get_prices(NOW))
            dear = {"output_reasoning_mtok", "output_citation_mtok", "requests_kcount"} & set(
                prices
            )
            if rates is None or dear or rates.source != f"genai-prices {provider.id}/{model.id}":
                continue
            if cached and "cache_read_mtok" not in prices:
                continue
            expected = model.calc_price(usage, provider, genai_request_timestamp=NOW).total_price
            assert abs(rates.cost_pico(*tokens) - usd_to_pico(expected)) <= 1, model.id
            assert rates.worst_cost_pico(sent, received) >= rates.cost_pico(*tokens)
            compared += 1
    assert compared > 500


@pytest.mark.parametrize(
    "name", ["gpt-4o-mini-2024-07-18", "openai/gpt-4o-mini", "GPT-4o-mini", "gpt-4o-mini-20240718"]
)
def test_finds_a_model_by_its_other_names(name: str):
    assert PriceBook().cost_pico(name, 10, 1) == PriceBook().cost_pico("gpt-4o-mini", 10, 1)


def test_the_endpoint_decides_whose_price_holds():
    book = PriceBook(base_url="https://api.groq.com/openai/v1")
    assert "groq" in book.require("llama-3.1-8b-instant").source
    with pytest.raises(UnpricedModelError):
        PriceBook().require("llama-3.1-8b-instant")


def test_own_prices_win_and_price_what_the_table_lacks():
    price = Price(Decimal(1), Decimal(2))
    book = PriceBook({"gpt-4o-mini": price, "mine": price})
    assert book.cost_pico("mine", 1, 1) == book.cost_pico("gpt-4o-mini", 1, 1) == 3 * 10**6


def test_the_highest_tier_that_a_call_can_reach_bounds_it():
    rates = PriceBook().require("gemini-2.5-pro")
    assert rates.worst_cost_pico(200_000, 0) == rates.cost_pico(200_000, 0)
    assert rates.worst_cost_pico(200_001, 0) > 1.9 * rates.cost_pico(200_000, 0)


def test_writing_to_the_cache_is_priced_and_within_the_worst_case():
    rates = PriceBook().require("claude-sonnet-4-5")
    assert rates.cost_pico(1000, 0, 0, 1000) == rates.worst_cost_pico(1000, 0)
    assert rates.cost_pico(1000, 0, 0, 1000) == rates.cost_pico(1000, 0) * 5 // 4


def test_rehearsal_models_cost_as_much_as_a_small_real_one():
    book = PriceBook()
    assert book.cost_pico("rehearsal-agent", 9, 8, 7) == book.cost_pico("gpt-4o-mini", 9, 8, 7)


def test_an_unknown_model_says_what_to_set():
    with pytest.raises(UnpricedModelError) as caught:
        PriceBook().require("no-such-model")
    assert "no-such-model" in str(caught.value) and "MODEL_PRICES" in caught.value.hint


def test_the_client_is_imported_without_the_slow_packages():
    code = (
        "import sys, cornerman.clients.llm, cornerman.clients.slack, cornerman.clients.chat_json, "
        "cornerman.clients.http_agent; "
        "print({'openai', 'genai_prices', 'slack_sdk', 'aiohttp', 'httpx2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
