"""The run's budget: reserved before each call, never passed, and continued with a larger one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.llm_standin import LLMStandin, Reply
from tests.support.training import World, climb, is_judge, is_optimizer, request_of

# A dollar for 1,000 tokens: easy to reckon with.
PRICES = '{"gpt-4o-mini": {"input": 1000, "output": 1000}, "gpt-4o": [1000, 1000]}'
SPENT = "SELECT COALESCE(SUM(cost_pico), 0) AS spent FROM llm_calls WHERE run_id = 'r1'"


def _metered(request: dict[str, Any], n: int) -> Reply:
    """Each answer's usage is another one, always within what was reserved."""
    reply = climb(request, n)
    reply.usage = (20 + 7 * (n % 5), 1 + n % 8)
    return reply


def _request(**changes: Any) -> dict[str, Any]:
    prompt = {"text": "LEVEL 1", "requires_grad": True, "model_kwargs": {"max_tokens": 8}}
    evaluators = [
        {"id": "right", "entrypoint": "exact_match"},
        {"id": "judge", "entrypoint": "llm_judge", "config": {"rubric": "Is it polite?"}},
    ]
    optimizer = {"epochs": 3, "max_concurrency": 8} | changes
    return request_of(8, prompts={"system": prompt}, evaluators=evaluators, optimizer=optimizer)


async def _spent_usd(world: World) -> float:
    return world.rows(SPENT)[0]["spent"] / 10**12


@pytest.mark.parametrize("max_cost_usd", [0.0, 0.15, 0.55, 0.7, 0.93, 1.37])
async def test_the_ledger_never_passes_the_budget(world: World, max_cost_usd: float) -> None:
    async with LLMStandin(_metered) as server:
        world.use_model(server.base_url, MODEL_PRICES=PRICES, DAILY_BUDGET_USD="1000")
        result = await world.train(_request(max_cost_usd=max_cost_usd))
    assert await _spent_usd(world) <= max_cost_usd
    assert (result["status"], result["stopped_by"]) == ("stopped", "budget")
    assert result["cost_usd"] == pytest.approx(await _spent_usd(world))
    assert world.rows("SELECT * FROM llm_calls WHERE status = 'reserved'") == []
    assert len(world.payloads("training_progress")) == sum(result["cases"].values())
    assert world.run().status == "stopped"


async def test_cases_judges_and_rewrites_are_all_reserved_for(world: World) -> None:
    async with LLMStandin(_metered) as server:
        world.use_model(server.base_url, MODEL_PRICES=PRICES, DAILY_BUDGET_USD="1000")
        result = await world.train(_request(max_cost_usd=1000))
        asked = [r.body for r in server.requests]
    assert result["stopped_by"] is None
    booked = world.rows("SELECT role, COUNT(*) AS calls FROM llm_calls GROUP BY role")
    judged, rewritten = sum(map(is_judge, asked)), sum(map(is_optimizer, asked))
    assert {row["role"]: row["calls"] for row in booked} == {
        "agent": len(asked) - judged - rewritten,
        "judge": judged,
        "optimizer": rewritten,
    }
    assert judged and rewritten
    assert world.rows("SELECT * FROM llm_calls WHERE reserved_pico < cost_pico") == []


async def test_a_run_resumed_with_a_larger_budget_pays_for_nothing_twice(world: World) -> None:
    async with LLMStandin(_metered) as server:
        world.use_model(server.base_url, MODEL_PRICES=PRICES, DAILY_BUDGET_USD="1000")
        for max_cost_usd in (1.0, 2.5, 1000.0):
            result = await world.train(_request(max_cost_usd=max_cost_usd, max_concurrency=1))
    assert (result["status"], result["stopped_by"]) == ("completed", None)
    finished = world.rows(
        "SELECT subject, role FROM llm_calls WHERE outcome = 'ok' "
        "GROUP BY subject, role HAVING COUNT(*) > 1"
    )
    # One case at a time: at most the one that each of two stops cut off is asked again.
    assert len(finished) <= 2
    assert result["cases"]["scored"] == len(world.payloads("training_progress"))


async def test_what_a_run_without_a_budget_spent_counts_when_it_gets_one(world: World) -> None:
    async with LLMStandin(_metered) as server:
        world.use_model(server.base_url, MODEL_PRICES=PRICES, DAILY_BUDGET_USD="1000")
        first = await world.train(_request(epochs=1))
        again = await world.train(_request(epochs=3, max_cost_usd=first["cost_usd"] + 0.01))
    assert again["stopped_by"] == "budget"
    assert again["cost_usd"] <= first["cost_usd"] + 0.01
