"""Models that think: room for their answers, paid for once, and thoughts apart from the output."""

from __future__ import annotations

from typing import Any

import pytest

from cornerman.clients.llm_types import endpoint_name
from cornerman.domain.answers import without_thoughts
from cornerman.domain.errors import BudgetExceededError, LLMError, StorageError
from cornerman.domain.money.ledger import CallScope
from tests.clients.helpers_llm import MODEL, SCOPE, ask, open_llm
from tests.support.llm_standin import LLMStandin, Reply
from tests.support.meters import MemoryMeter


def thinking(tokens: int, text: str = "yes", thought: str = "") -> Any:
    """A model that spends so many tokens on thought before it says `text`."""

    def reply(request: dict[str, Any], n: int) -> Reply:
        limit = request.get("max_tokens") or request["max_completion_tokens"]
        if limit <= tokens:
            return Reply(thought[:limit], usage=(20, limit), finish_reason="length")
        closed = f"{thought}</think>\n\n" if thought else ""
        return Reply(closed + text, usage=(20, tokens + 5))

    return reply


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-5-mini"])
async def test_an_answer_without_room_is_asked_for_with_more(model: str, stream: bool) -> None:
    meter = MemoryMeter()
    async with LLMStandin(thinking(1_500)) as server, open_llm(server, meter) as llm:
        answer = await llm.chat(SCOPE, ask(model=model, max_tokens=300, stream=stream))
    assert (answer.text, answer.attempts, server.total) == ("yes", 2, 2)
    assert meter.outcomes == ["truncated", "ok"]
    assert answer.cost_pico == meter.cost_pico
    for row in meter.rows.values():
        assert row.outcome and row.outcome.cost_pico <= row.call.worst_cost_pico


async def test_the_limit_that_works_is_paid_for_once() -> None:
    meter = MemoryMeter()
    async with LLMStandin(thinking(1_500)) as server, open_llm(server, meter) as llm:
        for n in range(3):
            await llm.chat(SCOPE, ask(f"question {n}"))
        await llm.chat(SCOPE, ask(model="gpt-4o"))
    assert meter.outcomes == ["truncated", "ok", "ok", "ok", "truncated", "ok"]


async def test_the_next_run_knows_the_limit_too() -> None:
    meter = MemoryMeter()
    async with LLMStandin(thinking(1_500)) as server:
        for _ in range(2):
            async with open_llm(server, meter) as llm:
                await llm.chat(SCOPE, ask())
                await llm.chat(SCOPE, ask("more", max_tokens=9_000))
        assert [r.body["max_tokens"] for r in server.requests] == [512, 4_096, 9_000, 4_096, 9_000]
    assert meter.outcomes == ["truncated", "ok", "ok", "ok", "ok"]


async def test_what_is_remembered_never_passes_the_limit_of_today() -> None:
    meter = MemoryMeter()
    async with LLMStandin(thinking(1_500)) as server, open_llm(server, meter) as llm:
        meter.limits[endpoint_name(server.base_url, simulated=False), MODEL] = 10**6
        await llm.chat(SCOPE, ask())
        assert [r.body["max_tokens"] for r in server.requests] == [16_384]


async def test_a_store_that_fails_loses_no_answer() -> None:
    class Forgetful(MemoryMeter):
        async def store_output_limit(self, endpoint: str, model: str, tokens: int) -> None:
            raise StorageError("The database is away.")

    meter = Forgetful()
    async with LLMStandin(thinking(1_500)) as server, open_llm(server, meter) as llm:
        assert (await llm.chat(SCOPE, ask())).text == "yes"
        assert (await llm.chat(SCOPE, ask("again"))).attempts == 1


def test_an_endpoint_is_known_by_its_address_without_credentials() -> None:
    assert endpoint_name("https://me:pw@host:1/v1/", simulated=False) == "host:1/v1"
    assert endpoint_name(None, simulated=False) == "api.openai.com/v1"
    assert endpoint_name("http://127.0.0.1:5/v1", simulated=True) == "rehearsal"


async def test_a_model_that_never_comes_to_an_end_is_truncated_and_not_asked_again() -> None:
    meter = MemoryMeter()
    async with LLMStandin(thinking(10**6)) as server, open_llm(server, meter) as llm:
        with pytest.raises(LLMError) as caught:
            await llm.chat(SCOPE, ask(max_tokens=512))
        assert [r.body["max_tokens"] for r in server.requests] == [512, 4_096, 16_384]
    assert (caught.value.kind, caught.value.error_type) == ("truncated", "truncated")
    assert not caught.value.retryable and "MAX_OUTPUT_TOKENS" in caught.value.hint


async def test_the_budget_holds_over_the_larger_limit() -> None:
    first = 2 * 10**8  # a call of 300 output tokens fits, one of 4,096 does not
    meter, scope = MemoryMeter(), CallScope("r1", "case-1", {"run": first})
    async with LLMStandin(thinking(1_500)) as server, open_llm(server, meter) as llm:
        with pytest.raises(BudgetExceededError):
            await llm.chat(scope, ask(max_tokens=300))
    assert server.total == 1 and meter.cost_pico <= first


@pytest.mark.parametrize("stream", [False, True])
async def test_thoughts_that_come_as_text_are_no_output(stream: bool) -> None:
    thought = "<think>" + "Let me see. " * 200
    async with (
        LLMStandin(thinking(700, thought=thought)) as server,
        open_llm(server, MemoryMeter()) as llm,
    ):
        answer = await llm.chat(SCOPE, ask(stream=stream))
    assert (answer.text, server.total) == ("yes", 2)


async def test_a_cut_answer_with_text_is_an_answer() -> None:
    async with (
        LLMStandin(lambda r, n: Reply("a begin", finish_reason="length")) as server,
        open_llm(server, MemoryMeter()) as llm,
    ):
        assert (await llm.chat(SCOPE, ask())).text == "a begin"
    assert server.total == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<think>a</think>b", "b"),
        ("\n<thinking>\na\n</thinking>\n\nb", "b"),
        ("<think></think>", ""),
        ("<think>never closed", ""),
        ("b <think>a</think>", "b <think>a</think>"),
        ("<b>bold</b>", "<b>bold</b>"),
    ],
)
def test_only_thoughts_at_the_start_are_taken_away(text: str, said: str) -> None:
    assert without_thoughts(text) == said
