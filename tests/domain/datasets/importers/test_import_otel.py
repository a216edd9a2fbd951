"""Cases of OpenTelemetry exports, in the shapes that instrumentations and exporters write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cornerman.domain.datasets.importers import import_file
from cornerman.domain.datasets.importers.made import Made
from cornerman.domain.errors import BadInputError

CALL = {"id": "c1", "name": "look", "arguments": '{"n": 1}'}


def value(held: Any) -> dict[str, Any]:
    """A value as OTLP's JSON has it."""
    if isinstance(held, dict):
        return {"kvlistValue": {"values": attributes(held)}}
    if isinstance(held, list):
        return {"arrayValue": {"values": [value(one) for one in held]}}
    if isinstance(held, int):
        return {"intValue": str(held)}
    return {"stringValue": held}


def attributes(held: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": value(one)} for name, one in held.items()]


def span(number: int, held: dict[str, Any], name: str = "chat m", **more: Any) -> dict[str, Any]:
    return {
        "traceId": "t1",
        "spanId": f"s{number}",
        "name": name,
        "kind": 3,
        "attributes": attributes(held),
    } | more


def spans(*held: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": list(held)}]}]}


def log(number: int, name: str, body: Any = None, **held: Any) -> dict[str, Any]:
    record = {
        "traceId": "t1",
        "spanId": f"s{number}",
        "eventName": name,
        "attributes": attributes(held),
    }
    if body is not None:
        record["body"] = value(body)
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}


def imported(folder: Path, *documents: Any, name: str = "x.jsonl") -> Made:
    path = folder / name
    path.write_text("".join(json.dumps(one) + "\n" for one in documents))
    return import_file(path, "otel")


def part(text: str) -> dict[str, Any]:
    return {"type": "text", "content": text}


NEW = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "m",
    "gen_ai.system_instructions": json.dumps([part("Be brief.")]),
    "gen_ai.input.messages": json.dumps(
        [
            {"role": "user", "parts": [part("Where?")]},
            {"role": "assistant", "parts": [{"type": "tool_call", **CALL}]},
            {
                "role": "tool",
                "parts": [{"type": "tool_call_response", "id": "c1", "result": "lost"}],
            },
        ]
    ),
    "gen_ai.output.messages": json.dumps(
        [
            {
                "role": "assistant",
                "parts": [{"type": "reasoning", "content": "Hm."}, part("It is lost.")],
                "finish_reason": "stop",
            }
        ]
    ),
}
OLD = {
    "gen_ai.system": "OpenAI",
    "llm.request.type": "chat",
    "gen_ai.request.model": "m",
    "gen_ai.prompt.0.role": "system",
    "gen_ai.prompt.0.content": "Be brief.",
    "gen_ai.prompt.1.role": "user",
    "gen_ai.prompt.1.content": "Where?",
    "gen_ai.prompt.2.role": "assistant",
    "gen_ai.prompt.2.tool_calls.0.id": "c1",
    "gen_ai.prompt.2.tool_calls.0.name": "look",
    "gen_ai.prompt.2.tool_calls.0.arguments": '{"n": 1}',
    "gen_ai.prompt.3.role": "tool",
    "gen_ai.prompt.3.content": "lost",
    "gen_ai.prompt.3.tool_call_id": "c1",
    "gen_ai.completion.0.role": "assistant",
    "gen_ai.completion.0.content": "It is lost.",
}
FUNCTION = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"n": 1}'}}
ASKED = [
    {"role": "user", "content": "Where?"},
    {"role": "assistant", "content": "", "tool_calls": [FUNCTION]},
    {"role": "tool", "content": "lost", "tool_call_id": "c1"},
]
EVENTS = [
    log(1, "gen_ai.system.message", {"content": "Be brief."}, **{"gen_ai.system": "openai"}),
    log(1, "gen_ai.user.message", {"content": "Where?"}),
    log(1, "gen_ai.assistant.message", {"tool_calls": [FUNCTION]}),
    log(1, "gen_ai.tool.message", {"content": "lost", "id": "c1"}),
    log(
        1,
        "gen_ai.choice",
        {"index": 0, "finish_reason": "stop", "message": {"content": "It is lost."}},
    ),
]
BARE = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
STRUCTURED = {name: json.loads(one) if one.startswith("[") else one for name, one in NEW.items()}


@pytest.mark.parametrize(
    "documents",
    [
        [spans(span(1, NEW))],
        [spans(span(1, STRUCTURED))],
        [spans(span(1, OLD))],
        [*EVENTS, spans(span(1, BARE))],
        [spans(span(1, BARE)), *EVENTS],
        [log(1, "gen_ai.client.inference.operation.details", **STRUCTURED), spans(span(1, BARE))],
        [
            {
                "resource_spans": [
                    {
                        "scope_spans": [
                            {
                                "spans": [
                                    {
                                        "trace_id": "t1",
                                        "span_id": "s1",
                                        "name": "chat m",
                                        "attributes": attributes(NEW),
                                    }
                                ]
                            }
                        ]
                    }
                ]
            }
        ],
        [
            {
                "name": "chat m",
                "context": {"trace_id": "t1", "span_id": "s1"},
                "attributes": NEW,
                "events": [],
            }
        ],
    ],
    ids=["new", "structured", "old", "events", "events-after", "one-event", "snake", "printed"],
)
def test_a_call_is_a_case_in_each_convention(tmp_path: Path, documents: list[Any]) -> None:
    made = imported(tmp_path, *documents)
    assert [case["inputs"] for case in made.cases] == [{"messages": ASKED}]
    assert made.cases[0]["expected_output"] == "It is lost."
    assert made.cases[0]["id"] == "s1"
    kept = made.cases[0]["metadata"]
    assert (kept["trace_id"], kept["model"], kept["system"]) == ("t1", "m", "Be brief.")
    assert made.skipped == {}


def test_an_answer_that_calls_tools_is_the_expected_output(tmp_path: Path) -> None:
    answer = [{"role": "assistant", "parts": [{"type": "tool_call", **CALL}]}]
    made = imported(
        tmp_path,
        spans(
            span(1, NEW | {"gen_ai.output.messages": json.dumps(answer)}),
            span(
                2,
                {
                    "gen_ai.prompt.0.content": "Hi",
                    "gen_ai.completion.0.tool_calls.0.name": "look",
                    "gen_ai.completion.0.tool_calls.0.arguments": '{"n": 1}',
                },
            ),
        ),
    )
    called = {"content": None, "tool_calls": [{"name": "look", "arguments": {"n": 1}}]}
    assert [case["expected_output"] for case in made.cases] == [called, called]


def test_two_events_of_a_span_hold_all_messages(tmp_path: Path) -> None:
    asked = json.dumps([{"role": "user", "content": "Hi"}])
    events = [
        {"name": "gen_ai.content.prompt", "attributes": attributes({"gen_ai.prompt": asked})},
        {
            "name": "gen_ai.content.completion",
            "attributes": attributes({"gen_ai.completion": "Hello"}),
        },
    ]
    made = imported(tmp_path, spans(span(1, BARE, events=events)))
    assert made.cases[0]["inputs"] == {"messages": [{"role": "user", "content": "Hi"}]}
    assert made.cases[0]["expected_output"] == "Hello"


def test_what_is_no_recorded_call_is_counted(tmp_path: Path) -> None:
    agent = {"gen_ai.operation.name": "invoke_agent"} | {
        name: one for name, one in NEW.items() if name.endswith("messages")
    }
    made = imported(
        tmp_path,
        spans(
            span(1, NEW),
            span(2, BARE),
            span(3, {"http.method": "GET"}, name="GET /"),
            span(4, agent, name="invoke_agent desk"),
            span(5, NEW | {"gen_ai.output.messages": "[]"}),
        ),
        log(6, "gen_ai.user.message"),
        log(6, "gen_ai.choice", {"index": 0, "message": {"role": "assistant"}}),
        {"resourceMetrics": []},
    )
    assert len(made.cases) == 1
    assert dict(made.skipped) == {
        "a call whose messages were not recorded": 2,
        "no call of a model": 1,
        "a span of an agent, whose calls are cases": 1,
        "no output": 1,
    }
    alone = imported(tmp_path, spans(span(4, agent, name="invoke_agent desk")))
    assert alone.cases[0]["expected_output"] == "It is lost."


def test_reads_one_document_of_many_lines_and_refuses_others(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(spans(span(1, NEW)), indent=2) + "\n" + json.dumps(EVENTS[0]))
    assert len(import_file(path, "otel").cases) == 1
    path.write_text('{"resourceSpans": []}\n{"rows": []}\n')
    with pytest.raises(BadInputError, match=r"x\.json, line 2 holds neither resourceSpans"):
        import_file(path, "otel")
    path.write_text('{"resourceSpans": []}\n\n{"resourceSpans": [}\n')
    with pytest.raises(BadInputError, match=r"x\.json, line 3 is not valid JSON"):
        import_file(path, "otel")
