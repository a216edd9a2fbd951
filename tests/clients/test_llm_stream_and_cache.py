from __future__ import annotations

import asyncio
import gzip
import json

import pytest

from cornerman.clients.prices import PriceBook
from cornerman.domain.errors import LLMError
from tests.clients.helpers_llm import SCOPE, ask, open_llm
from tests.support.llm_standin import LLMStandin, Reply
from tests.support.meters import MemoryMeter

LONG = "a longer answer, in several chunks"


async def test_a_stream_gives_the_same_answer_and_usage():
    meter = MemoryMeter()
    async with LLMStandin(lambda r, n: Reply(LONG, usage=(20, 9))) as server:
        async with open_llm(server, meter) as llm:
            answer = await llm.chat(SCOPE, ask(stream=True))
        assert server.last.body["stream_options"] == {"include_usage": True}
    assert (answer.text, answer.input_tokens, answer.output_tokens) == (LONG, 20, 9)
    assert meter.cost_pico == PriceBook().cost_pico("gpt-4o-mini", 20, 9)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(LONG, finish_reason=None), "truncated"),
        (Reply(LONG, cut_after=300), "connection"),
        (Reply(body=b"data: {oops\n\n"), "malformed"),
        (Reply(body=b""), "truncated"),
        (Reply(body=b'data: {"error": {"message": "overloaded"}}\n\n'), "server_error"),
    ],
)
async def test_a_broken_stream_is_an_error_at_its_worst_case(reply: Reply, kind: str):
    meter = MemoryMeter()
    async with (
        LLMStandin(lambda r, n: reply) as server,
        open_llm(server, meter, retries=1) as llm,
    ):
        with pytest.raises(LLMError) as caught:
            await llm.chat(SCOPE, ask(stream=True))
    assert (caught.value.kind, meter.outcomes) == (kind, [kind, kind])
    assert meter.cost_pico == sum(row.call.worst_cost_pico for row in meter.rows.values())


async def test_a_packed_body_is_unpacked_within_the_limit():
    answer = {"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]}
    bodies = [gzip.compress(b" " * 50_000_000), gzip.compress(json.dumps(answer).encode())]

    def script(request: object, n: int) -> Reply:
        return Reply(body=bodies[n], headers={"content-encoding": "gzip"})

    meter = MemoryMeter()
    async with LLMStandin(script) as server, open_llm(server, meter) as llm:
        assert (await llm.chat(SCOPE, ask())).text == "ok"
        assert server.last.headers["accept-encoding"] == "identity"
    assert meter.outcomes == ["malformed", "ok"]


async def test_identical_calls_at_temperature_zero_are_answered_from_the_cache():
    meter = MemoryMeter()
    async with LLMStandin() as server, open_llm(server, meter, cache=True) as llm:
        first = await llm.chat(SCOPE, ask("same"))
        second = await llm.chat(SCOPE, ask("same"))
        await llm.chat(SCOPE, ask("same", max_tokens=9))
        assert server.total == 2
    assert (second.text, second.cached, second.cost_pico, second.attempts) == ("same", True, 0, 0)
    assert second.output_tokens == first.output_tokens > 0
    assert meter.outcomes == ["ok", "cached", "ok"]


async def test_the_same_call_at_once_is_asked_for_once_and_a_failure_lets_the_next_one_ask():
    meter = MemoryMeter()
    async with LLMStandin(latency=0.1) as server, open_llm(server, meter, cache=True) as llm:
        answers = await asyncio.gather(*(llm.chat(SCOPE, ask("same")) for _ in range(5)))
        assert [answer.cached for answer in answers].count(False) == 1
        assert server.total == 1
        cancelled = asyncio.create_task(llm.chat(SCOPE, ask("other")))
        waiting = asyncio.create_task(llm.chat(SCOPE, ask("other")))
        await asyncio.sleep(0.02)
        cancelled.cancel()
        assert (await waiting).text == "other"
        assert server.total == 3
    assert meter.outcomes.count("cached") == 4


@pytest.mark.parametrize(("cache", "temperature"), [(True, 0.1), (False, 0.0)])
async def test_other_calls_are_made_each_time(cache: bool, temperature: float):
    async with LLMStandin() as server, open_llm(server, MemoryMeter(), cache=cache) as llm:
        for _ in range(2):
            await llm.chat(SCOPE, ask(temperature=temperature))
        assert server.total == 2


async def test_runs_as_many_calls_at_once_as_asked():
    async with LLMStandin(latency=0.2) as server, open_llm(server, MemoryMeter()) as llm:
        await asyncio.gather(*(llm.chat(SCOPE, ask()) for _ in range(64)))
        assert server.max_in_flight == 64


async def test_llmock_rate_limits_are_waited_out(llmock):
    llmock.rate_limit(times=2, retry_after=0.2)
    meter = MemoryMeter()
    async with open_llm(llmock.base_url(), meter) as llm:
        assert (await llm.chat(SCOPE, ask())).text
    assert meter.outcomes == ["rate_limited", "rate_limited", "ok"]


async def test_llmock_broken_streams_are_made_again(llmock):
    llmock.truncate().corrupt().disconnect()
    meter = MemoryMeter()
    async with open_llm(llmock.base_url(), meter) as llm:
        assert (await llm.chat(SCOPE, ask(stream=True))).finish_reason == "stop"
    assert sorted(meter.outcomes) == ["connection", "malformed", "ok", "truncated"]


async def test_llmock_outage_ends_in_one_error(llmock):
    llmock.outage()
    async with open_llm(llmock.base_url(), MemoryMeter(), retries=1) as llm:
        with pytest.raises(LLMError) as caught:
            await llm.chat(SCOPE, ask())
    assert (caught.value.kind, caught.value.status_code) == ("server_error", 503)
