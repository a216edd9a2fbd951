"""Runs, cases, calls and tools reach an OTLP receiver as spans, and hold nothing up."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cornerman.domain.battles.request import BattleParameters
from tests.flows.test_own_agents import request_of
from tests.support.ports import free_port
from tests.support.training import World


class Receiver:
    """A collector on loopback: the spans that it got, by name."""

    def __init__(self) -> None:
        self.spans = list[Any]()

    async def take(self, request: web.Request) -> web.Response:
        sent = ExportTraceServiceRequest()
        sent.ParseFromString(await request.read())
        for resource in sent.resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return web.Response(body=b"")

    def named(self, start: str) -> list[Any]:
        return [span for span in self.spans if span.name.startswith(start)]


def facts(span: Any) -> dict[str, Any]:
    return {
        kept.key: getattr(kept.value, str(kept.value.WhichOneof("value")))
        for kept in span.attributes
    }


@pytest.fixture
async def receiver(world: World) -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/traces", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    world.set(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{runner.addresses[0][1]}")
    yield made
    await runner.cleanup()


async def test_a_trainings_calls_and_tools_are_spans_of_its_cases(
    world: World, receiver: Receiver
) -> None:
    world.set(EVALUATOR_MODULES="cornerman.examples")
    request = request_of("pydantic_ai")
    request["optimizer"] = {"epochs": 1}
    result = await world.train(request)
    (run,) = receiver.named("train pydantic_ai")
    cases = receiver.named("invoke_agent")
    calls, tools = receiver.named("chat "), receiver.named("execute_tool look_up_account")
    assert len(cases) == result["cases"]["scored"] and len(calls) == 2 * len(cases)
    assert len(tools) == len(cases)
    assert {span.parent_span_id for span in cases} == {run.span_id}
    assert {s.parent_span_id for s in (*calls, *tools)} == {span.span_id for span in cases}
    assert {span.trace_id for span in receiver.spans} == {run.trace_id}
    said = facts(calls[0])
    assert said["gen_ai.operation.name"] == "chat" and said["gen_ai.request.model"] == "gpt-4o-mini"
    assert said["gen_ai.provider.name"] == "openai" and said["gen_ai.usage.input_tokens"] > 0
    assert said["gen_ai.conversation.id"].startswith("r1/c0/")
    assert "gen_ai.input.messages" not in said
    for call in calls:
        case = next(span for span in cases if span.span_id == call.parent_span_id)
        assert facts(case)["gen_ai.conversation.id"] == facts(call)["gen_ai.conversation.id"]
        assert case.start_time_unix_nano <= call.start_time_unix_nano + 50_000_000
        assert call.start_time_unix_nano < call.end_time_unix_nano <= case.end_time_unix_nano


async def test_what_was_said_is_told_where_it_is_asked_for(
    world: World, receiver: Receiver
) -> None:
    world.set(
        EVALUATOR_MODULES="cornerman.examples",
        OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="true",
    )
    request = request_of("openai") | {"max_cases": 2, "optimizer": {"epochs": 1}}
    await world.train(request)
    said = facts(receiver.named("chat ")[0])
    assert "Label the customer" in said["gen_ai.input.messages"]
    asked = json.loads(said["gen_ai.input.messages"])
    assert [message["role"] for message in asked] == ["system", "user"]
    assert asked[0]["parts"][0]["type"] == "text"
    (answered,) = json.loads(said["gen_ai.output.messages"])
    assert answered["role"] == "assistant" and answered["parts"][0]["content"]


async def test_a_batchs_battles_are_spans(world: World, receiver: Receiver) -> None:
    from cornerman.flows.battle import battle_batch

    await battle_batch(BattleParameters(run_id="b1", batch_size=2))
    battles, calls = receiver.named("invoke_agent"), receiver.named("chat ")
    assert len(battles) >= 2 and {facts(c)["cornerman.role"] for c in calls} >= {
        "agent", "persona", "referee",
    }  # fmt: skip
    assert facts(battles[0])["gen_ai.conversation.id"] == facts(battles[0])["cornerman.battle.id"]


async def test_a_collector_that_is_away_holds_nothing_up(world: World) -> None:
    world.set(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}")
    request = request_of("openai") | {"max_cases": 2, "optimizer": {"epochs": 1}}
    world.set(EVALUATOR_MODULES="cornerman.examples")
    began = time.monotonic()
    result = await world.train(request)
    assert result["status"] == "completed" and time.monotonic() - began < 15
