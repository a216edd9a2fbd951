"""What is booked is what was sold, in every dialect, whole and streamed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest

from cornerman.meter.server import meter_server
from tests.meter.conftest import REAL_KEY, Metered
from tests.support.upstream import Asked, Sent, Upstream, events

Meter = Callable[..., Metered]
MESSAGES: Any = [
    {"role": "system", "content": "Be kind and brief."},
    {"role": "user", "content": "?"},
]
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
WHOLE = {
    "id": "x",
    "object": "chat.completion",
    "created": 0,
    "model": "gpt-test",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    ],
    "usage": USAGE,
}


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    head = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "gpt-test"}
    return {**head, "choices": [choice], **more}


def usage_chunk(usage: dict[str, Any] = USAGE) -> dict[str, Any]:
    return {**chunk({}), "choices": [], "usage": usage}


STREAM = events(
    chunk({"role": "assistant", "content": "H"}), chunk({"content": "i"}), chunk({}, "stop"),
    usage_chunk(), "[DONE]",
)  # fmt: skip


async def test_a_whole_chat_is_booked_traced_and_made_with_the_real_key(meter: Meter):
    async with Upstream(lambda asked: Sent(json=WHOLE, headers={"x-request-id": "req-1"})) as up:
        run = meter(up)
        raw = await run.client().chat.completions.with_raw_response.create(
            model="gpt-test",
            messages=MESSAGES,
            tools=[{"type": "function", "function": {"name": "look"}}],
        )
    assert raw.headers["x-request-id"] == "req-1"
    assert raw.parse().choices[0].message.content == "Hi"
    assert run.cost() == 11 + 2 * 7 and run.outcomes() == ["ok"]
    (asked,) = up.asked
    assert asked.headers["authorization"] == f"Bearer {REAL_KEY}"
    assert asked.body["max_tokens"] == 100  # the stated limit, where the request has none
    (call,) = run.trace()
    assert call["messages"] == MESSAGES and call["prompts"] == ["system"]
    assert call["response"]["content"] == "Hi" and call["tools"][0]["function"]["name"] == "look"
    assert call["usage"] == {"input_tokens": 11, "cached_tokens": 0, "output_tokens": 7}
    assert call["cost_usd"] == pytest.approx(25e-6) and call["seq"] == 1


@pytest.mark.parametrize("wanted", [False, True])
async def test_a_stream_is_booked_and_its_usage_shown_to_whom_asked(meter: Meter, wanted: bool):
    options: Any = {"stream_options": {"include_usage": True}} if wanted else {}
    async with Upstream(lambda asked: Sent(chunks=STREAM)) as up:
        run = meter(up)
        stream = await run.client().chat.completions.create(
            model="gpt-test", messages=MESSAGES, stream=True, **options
        )
        seen = [part async for part in stream]
    assert up.asked[0].body["stream_options"] == {"include_usage": True}
    assert "".join(p.choices[0].delta.content or "" for p in seen if p.choices) == "Hi"
    assert [p.usage is not None for p in seen] == [False] * 3 + [True] * wanted
    assert run.cost() == 25 and run.trace()[0]["response"]["content"] == "Hi"


async def test_tool_calls_of_a_stream_are_put_together(meter: Meter):
    first = {**CALL, "index": 0, "function": {"name": "look", "arguments": '{"at"'}}
    rest = {"index": 0, "function": {"arguments": ": 1}"}}
    packets = events(
        chunk({"role": "assistant", "tool_calls": [first]}), chunk({"tool_calls": [rest]}),
        chunk({}, "tool_calls"), usage_chunk(), "[DONE]",
    )  # fmt: skip
    async with Upstream(lambda asked: Sent(chunks=packets)) as up:
        run = meter(up)
        stream = await run.client().chat.completions.create(
            model="gpt-test", messages=MESSAGES, stream=True
        )
        async for _ in stream:
            pass
    assert run.trace()[0]["tool_calls"] == [{"id": "c1", "name": "look", "arguments": {"at": 1}}]


async def test_an_answer_is_booked_before_its_agent_holds_it(meter: Meter):
    async with Upstream(lambda asked: Sent(chunks=STREAM)) as up:
        run = meter(up)
        stream = await run.client().chat.completions.create(
            model="gpt-test", messages=MESSAGES, stream=True
        )
        async for part in stream:
            if part.choices and part.choices[0].finish_reason:
                assert run.outcomes() == ["ok"]


RESPONSE: dict[str, Any] = {
    "id": "r1", "object": "response", "created_at": 0, "model": "gpt-test", "status": "completed",
    "output": [
        {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "kept"},
        {"type": "function_call", "id": "f", "call_id": "c1", "name": "look", "arguments": "{}"},
    ],
    "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
    "usage": {"input_tokens": 5, "output_tokens": 9, "total_tokens": 14,
              "input_tokens_details": {"cached_tokens": 2},
              "output_tokens_details": {"reasoning_tokens": 4}},
}  # fmt: skip


async def test_responses_pass_whole_with_what_chats_do_not_have(meter: Meter):
    async with Upstream(lambda asked: Sent(json=RESPONSE)) as up:
        run = meter(up)
        said = await run.client().responses.create(
            model="gpt-test", input="?", instructions="Be kind and brief.", max_output_tokens=50
        )
    assert [item.type for item in said.output] == ["reasoning", "function_call"]
    assert up.asked[0].path == "/v1/responses" and up.asked[0].body["max_output_tokens"] == 50
    assert run.cost() == 5 + 2 * 9
    (call,) = run.trace()
    assert call["tool_calls"] == [{"id": "c1", "name": "look", "arguments": {}}]
    assert call["prompts"] == ["system"] and call["usage"]["cached_tokens"] == 2


async def test_responses_are_booked_from_a_stream(meter: Meter):
    packets = events(
        {"type": "response.created", "response": {**RESPONSE, "status": "in_progress"}},
        {"type": "response.completed", "response": RESPONSE, "sequence_number": 1},
        named=True,
    )
    async with Upstream(lambda asked: Sent(chunks=packets)) as up:
        run = meter(up)
        stream = await run.client().responses.create(model="gpt-test", input="?", stream=True)
        kinds = [event.type async for event in stream]
    assert kinds == ["response.created", "response.completed"] and run.cost() == 23


MESSAGE: dict[str, Any] = {
    "id": "m", "type": "message", "role": "assistant", "model": "claude-test",
    "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn", "stop_sequence": None,
    "usage": {"input_tokens": 3, "cache_creation_input_tokens": 4, "cache_read_input_tokens": 5,
              "output_tokens": 6},
}  # fmt: skip
MESSAGE_EVENTS = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 6}},
    {"type": "message_stop"},
]


def claude(run: Metered) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=meter_server().anthropic_url, api_key=run.key.token)


@pytest.mark.parametrize("streamed", [False, True])
async def test_anthropics_messages_are_booked_with_what_was_cached(meter: Meter, streamed: bool):
    def script(asked: Asked) -> Sent:
        return Sent(chunks=events(*MESSAGE_EVENTS, named=True)) if streamed else Sent(json=MESSAGE)

    async with Upstream(script) as up:
        run = meter(up)
        asked: Any = {"model": "claude-test", "max_tokens": 20, "system": "Be kind and brief.",
                      "messages": [{"role": "user", "content": "?"}]}  # fmt: skip
        if streamed:
            async with claude(run).messages.stream(**asked) as stream:
                text = await stream.get_final_text()
        else:
            text = (await claude(run).messages.create(**asked)).content[0].text  # type: ignore
    assert text == "Hi" and run.cost() == (3 + 4 + 5) + 2 * 6
    assert up.asked[0].headers["x-api-key"] == REAL_KEY
    assert "authorization" not in up.asked[0].headers
    (call,) = run.trace()
    assert call["response"]["content"] == [{"type": "text", "text": "Hi"}]
    assert call["prompts"] == ["system"] and call["usage"]["cached_tokens"] == 5


async def test_embeddings_cost_what_was_sent_and_models_nothing(meter: Meter):
    data = [{"object": "embedding", "index": 0, "embedding": [0.5]}]
    usage = {"prompt_tokens": 4, "total_tokens": 4}
    vectors = {"object": "list", "model": "embed-test", "usage": usage, "data": data}

    def script(asked: Asked) -> Sent:
        listed = {"object": "list", "data": [{"id": "gpt-test", "object": "model"}]}
        return Sent(json=listed if asked.method == "GET" else vectors)

    async with Upstream(script) as up:
        run = meter(up)
        made = await run.client().embeddings.create(
            model="embed-test", input=["a"], encoding_format="float"
        )
        names = [model.id async for model in run.client().models.list()]
    assert made.data[0].embedding == [0.5] and names == ["gpt-test"]
    assert run.cost() == 4 and len(run.calls()) == 1


async def test_a_sync_client_in_a_thread_is_booked_like_any_other(meter: Meter):
    import asyncio

    async with Upstream(lambda asked: Sent(json=WHOLE)) as up:
        run = meter(up)
        client = openai.OpenAI(base_url=run.url, api_key=run.key.token)
        ask = client.chat.completions.create
        await asyncio.gather(
            *(asyncio.to_thread(ask, model="gpt-test", messages=MESSAGES) for _ in range(16))
        )
    assert run.cost() == 16 * 25 and run.outcomes() == ["ok"] * 16
    assert [call["seq"] for call in run.trace()] == list(range(1, 17))
