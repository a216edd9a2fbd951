"""What goes wrong upstream, or with whoever asks: nothing lost, nothing unbooked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest

from cornerman.domain.errors import KillSwitchActiveError
from cornerman.domain.traces import ReplayQueue
from tests.meter.conftest import REAL_KEY, SUBJECT, Metered
from tests.meter.test_meter_booking import MESSAGES, STREAM, WHOLE, chunk, usage_chunk
from tests.support.upstream import Sent, Upstream, events

Meter = Callable[..., Metered]
ASK: Any = {"model": "gpt-test", "messages": MESSAGES, "max_tokens": 10}


async def ask(run: Metered, **more: Any) -> Any:
    return await run.client(max_retries=0).chat.completions.create(**(ASK | more))


def worst(run: Metered) -> float:
    """What the last call had reserved, in micro-dollars."""
    return run.calls()[-1].reserved_pico / 10**6


async def test_a_clients_retries_are_calls_of_their_own(meter: Meter):
    replies = [
        Sent(status=429, json={"error": {"message": "slow"}}, headers={"Retry-After": "0.05"}),
        Sent(status=500, json={"error": {"message": "oops"}}, headers={"x-request-id": "req-2"}),
        Sent(json=WHOLE),
    ]
    async with Upstream(lambda asked: replies[asked.n]) as up:
        run = meter(up)
        await run.client().chat.completions.create(**ASK)
    assert run.outcomes() == ["rate_limited", "server_error", "ok"]
    assert [row.attempt for row in run.calls()] == [1, 2, 3]
    assert run.cost() == 25 and run.trace()[0]["error"].startswith("Error code: 429")


async def test_an_errors_status_wait_and_request_id_pass_through(meter: Meter):
    headers = {"Retry-After": "7", "x-request-id": "req-9", "openai-organization": "o"}
    body = {"error": {"message": f"bad key {REAL_KEY}", "code": "no"}}
    async with Upstream(lambda asked: Sent(status=429, json=body, headers=headers)) as up:
        run = meter(up)
        with pytest.raises(openai.RateLimitError) as raised:
            await ask(run)
    assert raised.value.request_id == "req-9" and raised.value.code == "no"
    assert raised.value.response.headers["retry-after"] == "7"
    assert len(up.asked) == 1  # none of ours hides under the client's
    assert REAL_KEY not in str([row.error for row in run.calls()]) and run.cost() == 0


async def test_a_hang_that_its_client_gave_up_is_cut_with_its_case(meter: Meter):
    async with Upstream(lambda asked: Sent(hang=True)) as up:
        run = meter(up)
        with pytest.raises(openai.APITimeoutError):
            await ask(run, timeout=0.2)
        assert run.calls()[0].status == "reserved"
        await run.key.close(drain=False)
        assert run.outcomes() == ["cancelled"] and run.cost() == worst(run)
        await asyncio.sleep(0.05)
        assert up.gone == 1


async def test_an_upstream_that_is_not_there_costs_nothing(meter: Meter):
    async with Upstream(lambda asked: Sent(json=WHOLE)) as up:
        run = meter(up)
    with pytest.raises(openai.InternalServerError) as raised:
        await ask(run)
    assert raised.value.code == "upstream_unreachable"
    assert run.outcomes() == ["connection"] and run.cost() == 0


@pytest.mark.parametrize(
    ("chunks", "cut", "outcome", "cost"),
    [
        (events(chunk({"content": "H"})), True, "truncated", None),
        (events(chunk({"content": "H"})), False, "truncated", None),
        # No usage: nobody says what was sold.
        (events(chunk({"content": "H"}), chunk({}, "stop"), "[DONE]"), False, "ok", None),
        (
            events(
                chunk({"content": "H"}, usage={"prompt_tokens": 1, "completion_tokens": 1}),
                chunk({}, "stop"), usage_chunk(), "[DONE]",
            ),
            False, "ok", 25,
        ),
        ([bytes([byte]) for byte in b"".join(STREAM)], False, "ok", 25),
        ([b"".join(STREAM).replace(b"\n", b"\r\n")], False, "ok", 25),
        (events({"error": {"message": "overloaded"}}), False, "malformed", None),
    ],
    ids=["cut", "ended", "no usage", "usage twice", "byte by byte", "crlf", "an error in it"],
)  # fmt: skip
async def test_streams_of_every_kind_are_booked(
    meter: Meter, chunks: list[bytes], cut: bool, outcome: str, cost: float | None
):
    async with Upstream(lambda asked: Sent(chunks=chunks, cut=cut)) as up:
        run = meter(up)
        try:
            async for _ in await ask(run, stream=True):
                pass
        except (openai.APIError, httpx2.HTTPError):
            pass
        await run.booked()
    assert run.outcomes() == [outcome]
    assert run.cost() == (worst(run) if cost is None else cost)


async def test_a_stream_that_was_cut_does_not_seem_whole(meter: Meter):
    half = events(chunk({"content": "H"}))
    async with Upstream(lambda asked: Sent(chunks=half, cut=True)) as up:
        run = meter(up)
        stream = await ask(run, stream=True)
        with pytest.raises((openai.APIError, httpx2.HTTPError)):
            async for _ in stream:
                pass
        await run.booked()
    assert run.outcomes() == ["truncated"]


async def test_a_good_status_with_an_errors_body_is_booked_whole(meter: Meter):
    async with Upstream(lambda asked: Sent(json={"error": {"message": "down"}})) as up:
        run = meter(up)
        await ask(run)
    assert run.outcomes() == ["malformed"] and run.cost() == worst(run)


async def test_the_first_words_of_a_stream_are_not_held_back(meter: Meter):
    packets = [*STREAM[:1], 5.0, *STREAM[1:]]
    async with Upstream(lambda asked: Sent(chunks=packets)) as up:
        run = meter(up)
        stream = await ask(run, stream=True)
        first = await asyncio.wait_for(anext(aiter(stream)), 2)
        assert first.choices[0].delta.content == "H"
        await run.key.close(drain=False)


async def test_a_client_that_goes_away_is_booked_what_was_sold(meter: Meter):
    packets = [*STREAM[:1], 0.2, *STREAM[1:]]
    async with Upstream(lambda asked: Sent(chunks=packets)) as up:
        run = meter(up)
        stream = await ask(run, stream=True)
        await anext(aiter(stream))
        await stream.close()
        await run.key.close(drain=True)
    assert run.outcomes() == ["ok"] and run.cost() == 25


async def test_the_kill_switch_cuts_streams_within_a_second(meter: Meter):
    packets = [*STREAM[:1], 60.0, *STREAM[1:]]
    async with Upstream(lambda asked: Sent(chunks=packets)) as up:
        run = meter(up)
        stream = aiter(await ask(run, stream=True))
        await anext(stream)
        run.account.stop_now(KillSwitchActiveError("fire"))
        async with asyncio.timeout(1):
            with pytest.raises((openai.APIError, httpx2.HTTPError)):
                await anext(stream)
            await run.booked()
        with pytest.raises(openai.PermissionDeniedError) as refused:
            await ask(run)
    assert refused.value.code == "kill_switch_active"
    assert run.outcomes() == ["cancelled"] and run.cost() == worst(run)


async def test_a_call_that_does_not_fit_is_refused_for_good(meter: Meter):
    async with Upstream(lambda asked: Sent(json=WHOLE)) as up:
        run = meter(up, budget_usd=0.001)
        with pytest.raises(openai.PermissionDeniedError) as refused:
            await run.client(max_retries=5).chat.completions.create(**(ASK | {"max_tokens": 900}))
    assert refused.value.code == "budget_exceeded" and up.asked == []
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert [stop.stopped_by for stop in run.stops] == ["budget"] and run.key.refused is run.stops[0]


async def test_eight_at_once_never_pass_a_budget(meter: Meter):
    async with Upstream(lambda asked: Sent(json=WHOLE, delay=0.01)) as up:
        run = meter(up, budget_usd=0.0012)
        client = run.client(max_retries=0)
        asks = [client.chat.completions.create(**ASK) for _ in range(60)]
        said = await asyncio.gather(*asks, return_exceptions=True)
    made = [one for one in said if not isinstance(one, BaseException)]
    assert 0 < len(made) < 60 and run.cost() == 25 * len(made) <= 1200
    assert {type(one) for one in said} - {type(made[0])} == {openai.PermissionDeniedError}


async def test_a_key_dies_with_its_case(meter: Meter):
    async with Upstream(lambda asked: Sent(json=WHOLE)) as up:
        run = meter(up)
        await ask(run)
        await run.key.close(drain=True)
        with pytest.raises(openai.AuthenticationError, match="has ended"):
            await ask(run)
        run.key = run.account.open_key(SUBJECT)
        run.key.token = ""
    assert len(up.asked) == 1 and run.cost() == 25


@pytest.mark.parametrize("key", ["sk-unknown", "x"])
async def test_an_unknown_key_is_refused(meter: Meter, key: str):
    async with Upstream(lambda asked: Sent(json=WHOLE)) as up:
        run = meter(up)
        with pytest.raises(openai.AuthenticationError):
            client = openai.AsyncOpenAI(base_url=run.url, api_key=key)
            await client.chat.completions.create(**ASK)
    assert up.asked == [] and run.calls() == []


@pytest.mark.parametrize(
    ("change", "status", "word"),
    [
        ({"model": "unheard-of"}, 400, "unpriced_model"),
        ({"model": ""}, 400, "model"),
        ({"messages": []}, 400, "messages"),
        ({"max_tokens": -1}, 400, "max_tokens"),
        ({"n": "many"}, 400, "n must be"),
        ({"tools": [{"type": "web_search"}]}, 400, "web_search"),
        ({"web_search_options": {}}, 400, "web_search_options"),
    ],
)
async def test_what_cannot_be_bounded_is_refused_by_name(
    meter: Meter, change: dict[str, Any], status: int, word: str
):
    async with Upstream(lambda asked: Sent(json=WHOLE)) as up:
        run = meter(up)
        with pytest.raises(openai.APIStatusError) as refused:
            await run.client(max_retries=0).post(
                "/chat/completions", cast_to=object, body=ASK | change
            )
    assert word in f"{refused.value.code} {refused.value.message}"
    assert refused.value.status_code == status and up.asked == [] and run.calls() == []


@pytest.mark.parametrize(
    "change",
    [
        {"previous_response_id": "resp_1"},
        {"background": True},
        {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
    ],
)
async def test_responses_that_bring_in_the_unknown_are_refused(
    meter: Meter, change: dict[str, Any]
):
    async with Upstream(lambda asked: Sent(json={})) as up:
        run = meter(up)
        with pytest.raises(openai.BadRequestError) as refused:
            await run.client(max_retries=0).responses.create(
                **({"model": "gpt-test", "input": "?"} | change)
            )
    assert refused.value.code == "unbounded_request"
    assert up.asked == []


async def test_broken_bodies_and_unknown_paths_are_told_in_the_dialects_form(meter: Meter):
    async with Upstream(lambda asked: Sent(json=WHOLE)) as up, httpx2.AsyncClient() as http:
        run = meter(up)
        key = {"Authorization": f"Bearer {run.key.token}"}
        broken = await http.post(f"{run.url}/chat/completions", content=b"{", headers=key)
        listed = await http.post(f"{run.url}/messages", content=b"[]", headers=key)
        unknown = await http.post(f"{run.url}/audio/speech", content=b"{}", headers=key)
    assert (broken.status_code, listed.status_code, unknown.status_code) == (400, 400, 404)
    assert "not valid JSON" in broken.json()["error"]["message"]
    assert listed.json()["type"] == "error" and "JSON object" in listed.json()["error"]["message"]
    assert "not metered" in unknown.json()["error"]["message"] and up.asked == []


async def test_large_and_many_are_passed_and_bounded(meter: Meter):
    tools = [
        {"type": "function", "function": {"name": f"t{n}", "parameters": {"type": "object"}}}
        for n in range(200)
    ]
    async with Upstream(lambda asked: Sent(json=WHOLE)) as up:
        run = meter(up, budget_usd=100.0)
        await ask(run, messages=[{"role": "user", "content": "x" * 10_000_000}], tools=tools, n=8)
    assert len(up.asked[0].body["tools"]) == 200 and run.cost() == 25
    assert worst(run) >= 10_000_000 + 2 * 8 * 10
    (call,) = run.trace()
    assert len(str(call)) < 300_000 and "characters more" in call["messages"][0]["content"]


async def test_pictures_are_bounded_by_their_number_and_cut_in_the_trace(meter: Meter):
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    inline = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 5000}}
    sound = {"type": "input_audio", "input_audio": {"data": "A" * 5000, "format": "wav"}}
    content = [{"type": "text", "text": "?"}, picture, inline, sound]
    async with Upstream(lambda asked: Sent(json=WHOLE)) as up:
        run = meter(up)
        await ask(run, messages=[{"role": "user", "content": content}])
    assert up.asked[0].body["messages"][0]["content"] == content
    assert worst(run) > 2 * 6_500
    kept = run.trace()[0]["messages"][0]["content"][2]["image_url"]["url"]
    assert kept.startswith("data:image/png;base64,") and len(kept) < 120


async def test_usage_alone_keeps_no_text(meter: Meter):
    async with Upstream(lambda asked: Sent(json=WHOLE)) as up:
        run = meter(up, record_calls="usage")
        await ask(run)
    (call,) = run.trace()
    assert call["messages"] == [] and call["response"] is None
    assert call["prompts"] == ["system"] and call["usage"]["input_tokens"] == 11


async def test_a_long_agents_messages_are_kept_once_and_read_whole(meter: Meter):
    talk = list(MESSAGES)
    async with Upstream(lambda asked: Sent(json=WHOLE)) as up:
        run = meter(up)
        client = run.client()
        for turn in range(200):
            await client.chat.completions.create(**(ASK | {"messages": talk}))
            talk = [
                *talk,
                {"role": "assistant", "content": "Hi"},
                {"role": "user", "content": str(turn)},
            ]
    calls = run.trace()
    assert len(calls) == 200 and calls[-1]["messages"] == talk[:-2]
    with run.db.reading() as session:
        from sqlalchemy import func, select

        from cornerman.storage.tables import call_traces

        most = session.execute(select(func.max(func.length(call_traces.c.content)))).scalar_one()
    assert most < 1_000  # though the last call's messages are 401


async def test_what_an_interrupted_case_was_answered_is_served_again_in_order(meter: Meter):
    from cornerman.storage import traces

    def script(asked: Any) -> Sent:
        said = {**WHOLE["choices"][0], "message": {"role": "assistant", "content": str(asked.n)}}
        if asked.body.get("stream"):
            return Sent(chunks=STREAM)
        return Sent(json={**WHOLE, "choices": [said]})

    async with Upstream(script) as up:
        run = meter(up)
        first = [(await ask(run)).choices[0].message.content for _ in range(2)]
        async for _ in await ask(run, stream=True):
            pass
        await run.key.close(drain=True)
        with run.db.reading() as session:
            kept = traces.read_replays(session, "r", SUBJECT)
        run.key = run.account.open_key(SUBJECT, replay=ReplayQueue(kept))
        again = [(await ask(run)).choices[0].message.content for _ in range(2)]
        streamed = [part async for part in await ask(run, stream=True)]
        assert (first, again, len(up.asked)) == (["0", "1"], ["0", "1"], 3)
        assert "".join(part.choices[0].delta.content or "" for part in streamed) == "Hi"
        await run.key.close(drain=True)
        run.key = run.account.open_key(SUBJECT, replay=ReplayQueue(kept))
        await ask(run, temperature=1)  # differs: the replay ends here
        await ask(run)
    assert len(up.asked) == 5 and run.cost() == 5 * 25
    assert "replay ended" in run.trace()[3]["note"]
