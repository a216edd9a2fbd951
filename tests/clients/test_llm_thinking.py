"""Models that think: room for their answers, paid for once, and thoughts apart from the output."""

from __future__ import annotations

from typing import Any

import pytest

from cornerman.domain.answers import without_thoughts
from cornerman.domain.errors import BudgetExceededError, LLMError
from cornerman.domain.money.ledger import CallScope
from tests.clients.helpers_llm import SCOPE, ask, open_llm
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
