from __future__ import annotations

import asyncio
import json
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cornerman.clients.llm import ChatAnswer, Clock
from cornerman.clients.prices import PriceBook
from cornerman.domain.errors import (
    BadInputError,
    BudgetExceededError,
    KillSwitchActiveError,
    LLMError,
    UnpricedModelError,
)
from cornerman.domain.money.ledger import CallEstimate, CallScope
from tests.clients.helpers_llm import KEY, SCOPE, FastClock, ask, open_llm
from tests.support.llm_standin import LLMStandin, Reply
from tests.support.meters import MemoryMeter


async def test_answers_with_text_usage_and_exact_cost():
    meter = MemoryMeter()
    async with (
        LLMStandin(lambda r, n: Reply(text="hi", usage=(1000, 100), cached_tokens=400)) as s,
        open_llm(s, meter) as llm,
    ):
        answer = await llm.chat(SCOPE, ask())
    assert (answer.text, answer.input_tokens, answer.cached_tokens) == ("hi", 1000, 400)
    expected = (Decimal("0.15") * 600 + Decimal("0.075") * 400 + Decimal("0.6") * 100) * 10**6
    assert answer.cost_pico == meter.cost_pico == int(expected)
    assert (answer.attempts, answer.finish_reason, answer.simulated) == (1, "stop", False)


async def test_reserves_the_worst_case_before_and_settles_after():
    meter = MemoryMeter()
    async with LLMStandin() as server, open_llm(server, meter) as llm:
        await llm.chat(SCOPE, ask("x" * 100, max_tokens=50))
    (row,) = meter.rows.values()
    assert row.call.worst_cost_pico == PriceBook().worst_cost_pico("gpt-4o-mini", 180, 50)
    assert row.outcome and 0 < row.outcome.cost_pico <= row.call.worst_cost_pico


async def test_sends_the_bound_on_output_and_the_parameters():
    async with LLMStandin() as server, open_llm(server, MemoryMeter()) as llm:
        extra = {"max_tokens": 7, "temperature": 0.5, "seed": 3, "top_p": 0.9}
        await llm.chat(SCOPE, ask(extra=extra))
        assert server.last.body.items() >= extra.items()
        assert server.last.path == "/v1/chat/completions"
        assert "x-cornerman-role" not in server.last.headers


async def test_sends_reasoning_models_the_limit_that_they_take():
    async with LLMStandin() as server, open_llm(server, MemoryMeter()) as llm:
        await llm.chat(SCOPE, ask(model="gpt-5-mini", max_tokens=9))
        assert server.last.body["max_completion_tokens"] == 9
        assert server.last.body.keys().isdisjoint({"max_tokens", "temperature"})


async def test_tells_the_role_to_the_rehearsal_endpoint_only():
    async with LLMStandin() as server, open_llm(server, MemoryMeter(), simulated=True) as llm:
        answer = await llm.chat(SCOPE, ask(role="referee", model="rehearsal-1"))
        assert server.last.headers["x-cornerman-role"] == "referee"
        assert answer.simulated and answer.cost_pico > 0


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(status=429), "rate_limited"),
        (Reply(status=500), "server_error"),
        (Reply(status=503), "server_error"),
        (Reply(status=529), "server_error"),
        (Reply(drop=True), "connection"),
        (Reply(cut_after=10), "connection"),
        (Reply(body=b"<html>"), "malformed"),
        (Reply(body=b'{"choices": []}'), "malformed"),
        (Reply(body=b'{"error": {"message": "late"}}'), "malformed"),
        (Reply(body=b"[" * 100_000), "malformed"),
        (Reply(body=b"[1]"), "malformed"),
        (Reply(hang=True), "timeout"),
    ],
)
async def test_retries_what_may_succeed_later_and_then_says_what_it_was(reply: Reply, kind: str):
    meter, fast = MemoryMeter(), FastClock()
    async with LLMStandin(lambda r, n: reply) as server:
        async with open_llm(server, meter, clock=fast.clock, retries=2) as llm:
            with pytest.raises(LLMError) as caught:
                await llm.chat(SCOPE, ask(timeout_seconds=0.1))
        assert server.total == 3
    assert (caught.value.kind, caught.value.retryable) == (kind, True)
    assert meter.outcomes == [kind] * 3
    assert len(fast.waits) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
async def test_does_not_retry_what_no_retry_mends(status: int):
    meter = MemoryMeter()
    async with LLMStandin(lambda r, n: Reply("no", status=status)) as server:
        async with open_llm(server, meter) as llm:
            with pytest.raises(LLMError) as caught:
                await llm.chat(SCOPE, ask())
        assert server.total == 1
    assert (caught.value.kind, caught.value.status_code) == ("refused", status)
    assert (meter.outcomes, meter.cost_pico) == (["refused"], 0)


async def test_does_not_wait_for_an_account_without_credit():
    body = json.dumps({"error": {"message": "quota", "code": "insufficient_quota"}}).encode()
    async with (
        LLMStandin(lambda r, n: Reply(status=429, body=body)) as server,
        open_llm(server, MemoryMeter()) as llm,
    ):
        with pytest.raises(LLMError) as caught:
            await llm.chat(SCOPE, ask())
    assert caught.value.kind == "refused" and "credit" in caught.value.hint


async def test_says_which_variable_to_check_when_the_key_is_refused():
    async with (
        LLMStandin(lambda r, n: Reply(status=401)) as server,
        open_llm(server, MemoryMeter()) as llm,
    ):
        with pytest.raises(LLMError) as caught:
            await llm.chat(SCOPE, ask())
    assert "SANDBOX_OPENAI_API_KEY" in caught.value.hint


async def test_goes_on_after_failures_and_sums_their_cost():
    def script(request: object, n: int) -> Reply:
        return [Reply(status=500), Reply(drop=True), Reply("at last")][n]

    meter = MemoryMeter()
    async with LLMStandin(script) as server, open_llm(server, meter) as llm:
        answer = await llm.chat(SCOPE, ask())
    assert (answer.text, answer.attempts) == ("at last", 3)
    assert meter.outcomes == ["server_error", "connection", "ok"]
    assert answer.cost_pico == meter.cost_pico


async def test_an_answer_is_kept_where_its_call_is_settled():
    kept = list[tuple[bool, ChatAnswer]]()
    meter = MemoryMeter()

    def keep(session: Any, answer: ChatAnswer) -> None:
        kept.append((session is meter, answer))

    def script(request: object, n: int) -> Reply:
        return [Reply(drop=True), Reply("at last")][n]

    async with LLMStandin(script) as server, open_llm(server, meter) as llm:
        answer = await llm.chat(SCOPE, ask(), keep=keep)
    assert kept == [(True, answer)]


async def test_books_errors_at_nothing_and_lost_calls_at_their_worst_case():
    replies = [Reply(status=500), Reply(drop=True), Reply(body=b"{"), Reply(no_usage=True)]
    meter = MemoryMeter()
    async with LLMStandin(lambda r, n: replies[n]) as server, open_llm(server, meter) as llm:
        await llm.chat(SCOPE, ask())
    costs = [row.outcome.cost_pico for row in meter.rows.values() if row.outcome]
    worst = next(iter(meter.rows.values())).call.worst_cost_pico
    assert costs == [0, worst, worst, worst]


async def test_books_a_malformed_answer_at_the_usage_that_it_had():
    body = b'{"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 1}}'
    meter = MemoryMeter()
    async with (
        LLMStandin(lambda r, n: Reply(body=body)) as server,
        open_llm(server, meter, retries=0) as llm,
    ):
        with pytest.raises(LLMError):
            await llm.chat(SCOPE, ask())
    assert meter.cost_pico == PriceBook().cost_pico("gpt-4o-mini", 10, 1)


async def test_books_nothing_when_nothing_listens():
    meter = MemoryMeter()
    async with open_llm("http://127.0.0.1:9/v1", meter, retries=1) as llm:
        with pytest.raises(LLMError) as caught:
            await llm.chat(SCOPE, ask())
    assert (caught.value.kind, meter.cost_pico) == ("connection", 0)
    assert "OPENAI_BASE_URL" in caught.value.hint


@pytest.mark.parametrize("name", ["retry-after", "retry-after-ms"])
async def test_waits_as_long_as_the_server_asks(name: str):
    value = "0.2" if name == "retry-after" else "200"

    def script(request: object, n: int) -> Reply:
        return Reply(status=429, headers={name: value}) if n == 0 else Reply()

    async with LLMStandin(script) as server, open_llm(server, MemoryMeter(), clock=Clock()) as llm:
        await llm.chat(SCOPE, ask())
        gap = server.requests[1].at - server.requests[0].at
    assert 0.2 <= gap < 0.5


async def test_gives_up_when_the_server_asks_for_too_long_a_wait():
    fast = FastClock()
    async with (
        LLMStandin(lambda r, n: Reply(status=429, headers={"retry-after": "61"})) as server,
        open_llm(server, MemoryMeter(), clock=fast.clock) as llm,
    ):
        with pytest.raises(LLMError) as caught:
            await llm.chat(SCOPE, ask())
    assert (caught.value.retry_after_seconds, fast.waits) == (61, [])


async def test_ends_all_attempts_at_the_deadline():
    started = time.monotonic()
    meter = MemoryMeter()
    async with (
        LLMStandin(lambda r, n: Reply(hang=True)) as server,
        open_llm(server, meter, clock=Clock()) as llm,
    ):
        with pytest.raises(LLMError) as caught:
            await llm.chat(SCOPE, ask(timeout_seconds=0.2, deadline_seconds=0.3))
    assert caught.value.kind == "timeout"
    assert 0.2 <= time.monotonic() - started < 0.6


async def test_books_a_cancelled_call_at_its_worst_case():
    meter = MemoryMeter()
    async with LLMStandin(lambda r, n: Reply(hang=True)) as server, open_llm(server, meter) as llm:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await llm.chat(SCOPE, ask())
    (row,) = meter.rows.values()
    assert row.outcome and row.outcome.outcome == "cancelled"
    assert row.outcome.cost_pico == row.call.worst_cost_pico


async def test_gives_back_what_was_reserved_when_cancelled_meanwhile():
    class SlowMeter(MemoryMeter):
        async def reserve(self, scope: CallScope, call: CallEstimate) -> str:
            call_id = await super().reserve(scope, call)
            await asyncio.sleep(0.2)
            return call_id

    meter = SlowMeter()
    async with LLMStandin() as server, open_llm(server, meter) as llm:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await llm.chat(SCOPE, ask())
        assert meter.outcomes == ["open"]
    assert (meter.outcomes, meter.cost_pico, server.total) == (["cancelled"], 0, 0)


async def test_a_call_that_does_not_fit_the_budget_is_not_made():
    meter = MemoryMeter()
    scope = CallScope("r1", budgets={"run:r1": 10**6})
    async with LLMStandin() as server, open_llm(server, meter) as llm:
        with pytest.raises(BudgetExceededError):
            await llm.chat(scope, ask())
        meter.kill_switch = "too dear"
        with pytest.raises(KillSwitchActiveError):
            await llm.chat(SCOPE, ask())
    assert (server.total, meter.rows) == (0, {})


async def test_many_calls_at_once_never_pass_a_budget():
    meter = MemoryMeter()
    scope = CallScope("r1", budgets={"run:r1": 10**9})

    async def one() -> bool:
        try:
            await llm.chat(scope, ask(max_tokens=300))
        except BudgetExceededError:
            return False
        return True

    async with (
        LLMStandin(lambda r, n: Reply(usage=(10, 300))) as server,
        open_llm(server, meter) as llm,
    ):
        done = await asyncio.gather(*(one() for _ in range(20)))
    assert 0 < sum(done) < 20
    assert meter.spent["run:r1"] <= 10**9 and meter.reserved["run:r1"] == 0


async def test_an_unpriced_model_is_refused_before_the_first_call():
    meter = MemoryMeter()
    async with LLMStandin() as server, open_llm(server, meter) as llm:
        with pytest.raises(UnpricedModelError, match="no-such-model"):
            await llm.chat(SCOPE, ask(model="no-such-model"))
    assert (server.total, meter.rows) == (0, {})


@pytest.mark.parametrize(
    "extra", [{"n": 5}, {"tools": []}, {"max_tokens": 0}, {"temperature": "hot"}, {"stop": {1, 2}}]
)
async def test_refuses_parameters_that_the_reserve_would_not_cover(extra: dict[str, object]):
    async with LLMStandin() as server, open_llm(server, MemoryMeter()) as llm:
        with pytest.raises(BadInputError) as caught:
            await llm.chat(SCOPE, ask(extra=extra))
    assert caught.value.field == f"model_kwargs.{next(iter(extra))}" and server.total == 0


async def test_a_model_that_passes_its_worst_case_is_reserved_more_the_next_time():
    meter = MemoryMeter()
    async with (
        LLMStandin(lambda r, n: Reply(usage=(10_000, 10_000))) as server,
        open_llm(server, meter) as llm,
    ):
        await llm.chat(SCOPE, ask())
        await llm.chat(SCOPE, ask())
    first, second = meter.rows.values()
    assert first.outcome and first.outcome.cost_pico > first.call.worst_cost_pico
    assert second.call.worst_cost_pico >= first.outcome.cost_pico


@settings(max_examples=30, deadline=None)
@given(text=st.text(max_size=200), output=st.integers(1, 64))
def test_what_a_byte_level_tokenizer_counts_is_within_the_reserve(text: str, output: int):
    async def run() -> MemoryMeter:
        meter = MemoryMeter()
        usage = (len(text.encode()) + 12, output)
        async with (
            LLMStandin(lambda r, n: Reply(usage=usage)) as server,
            open_llm(server, meter) as llm,
        ):
            await llm.chat(SCOPE, ask(text, max_tokens=64))
        return meter

    (row,) = asyncio.run(run()).rows.values()
    assert row.outcome and row.outcome.cost_pico <= row.call.worst_cost_pico


async def test_sends_texts_with_lone_surrogates():
    async with LLMStandin() as server, open_llm(server, MemoryMeter()) as llm:
        answer = await llm.chat(SCOPE, ask("a\ud83d b"))
    assert answer.text == "a\ufffd b"


async def test_the_key_reaches_the_server_and_no_error_row_or_answer():
    def script(request: object, n: int) -> Reply:
        said = f"you sent {server.last.headers['authorization']}"
        return [
            Reply(said, status=500),
            Reply(body=said.encode()),
            Reply(said, status=401),
            Reply(f"your key is {KEY}"),
        ][n]

    meter = MemoryMeter()
    async with LLMStandin(script) as server, open_llm(server, meter) as llm:
        with pytest.raises(LLMError) as caught:
            await llm.chat(SCOPE, ask())
        answer = await llm.chat(SCOPE, ask())
        assert server.last.headers["authorization"] == f"Bearer {KEY}"
    error = caught.value
    assert "you sent" in str(error) and error.__cause__ is None and error.__context__ is None
    assert KEY not in f"{error!r} {meter.rows} {answer} {llm.__dict__['_endpoint']}"


async def test_a_body_over_the_limit_is_not_read_on():
    body = b'{"x": "' + b"a" * 9_000_000 + b'"}'
    async with (
        LLMStandin(lambda r, n: Reply(body=body)) as server,
        open_llm(server, MemoryMeter(), retries=0) as llm,
    ):
        with pytest.raises(LLMError, match="longer than") as caught:
            await llm.chat(SCOPE, ask())
    assert caught.value.kind == "malformed"


async def test_length_is_an_answer():
    async with (
        LLMStandin(lambda r, n: Reply("cut", finish_reason="length")) as server,
        open_llm(server, MemoryMeter()) as llm,
    ):
        answer = await llm.chat(SCOPE, ask())
    assert (answer.text, answer.finish_reason) == ("cut", "length")
