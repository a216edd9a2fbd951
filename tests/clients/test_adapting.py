"""Endpoints that refuse a parameter by name, under any model's name."""

from __future__ import annotations

from typing import Any

import pytest

from cornerman.clients.adapting import Adaptations
from cornerman.clients.chat_json import chat_json, json_schema_format
from cornerman.domain.errors import LLMError
from tests.clients.helpers_llm import SCOPE, ask, open_llm
from tests.support.llm_standin import LLMStandin, Reply
from tests.support.meters import MemoryMeter

REFUSALS = {
    "max_tokens": "Unsupported parameter: 'max_tokens' is not supported with this model. "
    "Use 'max_completion_tokens' instead.",
    "temperature": "Unsupported value: 'temperature' does not support 0 with this model. "
    "Only the default (1) value is supported.",
    "seed": "Unrecognized request argument supplied: seed",
    "response_format": "'response_format.type' must be 'text'",
}


def refusing(*names: str, text: str = "yes") -> Any:
    """An endpoint that refuses what it is sent of `names`, one after another."""

    def reply(request: dict[str, Any], n: int) -> Reply:
        first = next((name for name in names if name in request), None)
        return Reply(text) if first is None else Reply(REFUSALS[first], status=400)

    return reply


async def test_each_refused_parameter_is_adapted_once_and_remembered() -> None:
    meter = MemoryMeter()
    async with LLMStandin(refusing(*REFUSALS)) as server, open_llm(server, meter) as llm:
        request = ask(seed=3, max_tokens=50, response_format=json_schema_format("a", {}))
        assert (await llm.chat(SCOPE, request)).text == "yes"
        assert server.total == 5
        await llm.chat(SCOPE, request)
        assert server.total == 6
        sent = server.last.body
    assert sent.keys() == {"model", "messages", "max_completion_tokens"}
    assert sent["max_completion_tokens"] == 50
    assert "json_schema" in sent["messages"][-1]["content"]
    assert meter.outcomes == ["refused"] * 4 + ["ok"] * 2


async def test_the_larger_limit_goes_by_the_name_that_the_endpoint_takes() -> None:
    def reply(request: dict[str, Any], n: int) -> Reply:
        if "max_tokens" in request:
            return Reply(REFUSALS["max_tokens"], status=400)
        limit = request["max_completion_tokens"]
        if limit < 2_000:
            return Reply("", usage=(9, limit), finish_reason="length")
        return Reply("yes", usage=(9, 1_600))

    async with LLMStandin(reply) as server, open_llm(server, MemoryMeter()) as llm:
        assert (await llm.chat(SCOPE, ask())).text == "yes"
    assert server.total == 3


async def test_a_schema_in_words_is_read_as_any_other_answer() -> None:
    async with (
        LLMStandin(refusing("response_format", text='{"a": 1}')) as server,
        open_llm(server, MemoryMeter()) as llm,
    ):
        request = ask(response_format=json_schema_format("a", {"type": "object"}))
        assert await chat_json(llm, SCOPE, request, str) == '{"a": 1}'
    assert server.total == 2


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens is too large: 512. This model supports at most 100 completion tokens.",
        "The model `m` does not exist",
        "temperature",
    ],
)
async def test_other_refusals_are_told_as_they_are(message: str) -> None:
    async with LLMStandin(lambda r, n: Reply(message, status=400)) as server:
        async with open_llm(server, MemoryMeter()) as llm:
            with pytest.raises(LLMError, match=message[:20]):
                await llm.chat(SCOPE, ask())
        assert server.total == 1


def test_an_endpoint_that_refuses_both_limits_ends_the_asking() -> None:
    held, body = Adaptations(), {"model": "m", "messages": [], "max_tokens": 5}
    assert held.learn(body, "unknown parameter: max_tokens")
    turned = held.apply(body)
    assert turned == {"model": "m", "messages": [], "max_completion_tokens": 5}
    assert not held.learn(turned, "unknown parameter: max_completion_tokens")
    assert held.apply({**body, "model": "other"}) == {**body, "model": "other"}


def test_calls_made_at_once_all_learn_from_the_first_refusal():
    learned = Adaptations()
    bodies = [{"model": "m", "temperature": 0, "max_tokens": 5} for _ in range(3)]
    refusal = "Unsupported parameter: 'temperature' is not supported with this model."
    assert [learned.learn(body, refusal) for body in bodies] == [True, True, True]
    # One that was adapted already has nothing left to change.
    assert not learned.learn(learned.apply(bodies[0]), refusal)
