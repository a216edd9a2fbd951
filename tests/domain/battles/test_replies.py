"""What an own agent's turn is, in whatever form it comes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cornerman.domain.battles import MOST_TOOL_CALLS, TOOL_CHARS
from cornerman.domain.battles.replies import BadReplyError, read_reply, tool_calls_in, tool_calls_of
from cornerman.domain.traces import CallTrace


def chat_call(name: str, arguments: str = "{}", made: str = "c1") -> dict[str, Any]:
    return {"id": made, "type": "function", "function": {"name": name, "arguments": arguments}}


CHAT = [
    {"role": "user", "content": "Where is it?"},
    {"role": "assistant", "content": None, "tool_calls": [chat_call("find", '{"id": 7}')]},
    {"role": "tool", "tool_call_id": "c1", "content": "on its way"},
]
LANGCHAIN = [
    SimpleNamespace(type="human", content="Where is it?"),
    SimpleNamespace(
        type="ai", content="", tool_calls=[{"name": "find", "args": {"id": 7}, "id": "c1"}]
    ),
    SimpleNamespace(type="tool", content="on its way", tool_call_id="c1", status="success"),
]
RESPONSES = [
    {"role": "user", "content": "Where is it?"},
    {"type": "function_call", "call_id": "c1", "name": "find", "arguments": '{"id": 7}'},
    {"type": "function_call_output", "call_id": "c1", "output": "on its way"},
]
ANTHROPIC = [
    {"role": "user", "content": "Where is it?"},
    {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "c1", "name": "find", "input": {"id": 7}}],
    },
    {
        "role": "user",
        "content": [
            {
                "type": "tool_result",
                "tool_use_id": "c1",
                "content": [{"type": "text", "text": "on its way"}],
            }
        ],
    },
]


@pytest.mark.parametrize("messages", [CHAT, LANGCHAIN, RESPONSES, ANTHROPIC])
def test_tool_calls_are_found_in_every_form(messages: list[Any]) -> None:
    (call,) = tool_calls_in(messages)
    assert (call.name, call.arguments, call.result, call.error) == (
        "find",
        {"id": 7},
        "on its way",
        None,
    )


def test_calls_without_ids_are_answered_in_order_by_name() -> None:
    calls = [{"function": {"name": "f", "arguments": f'{{"n": {n}}}'}} for n in (1, 2)]
    answers = [{"role": "tool", "name": "f", "content": f"r{n}"} for n in (1, 2)]
    found = tool_calls_in([{"role": "assistant", "content": "", "tool_calls": calls}, *answers])
    assert [(call.arguments["n"], call.result) for call in found] == [(1, "r1"), (2, "r2")]


@pytest.mark.parametrize(
    "answer",
    [
        {"role": "tool", "tool_call_id": "c1", "content": "Error: no such order"},
        {"role": "tool", "tool_call_id": "c1", "content": "no such order", "status": "error"},
    ],
)
def test_a_tool_that_failed_is_told_apart(answer: dict[str, Any]) -> None:
    (call,) = tool_calls_in([*CHAT[:2], answer])
    assert call.result is None and call.error is not None and "no such order" in call.error


def test_an_id_that_two_calls_share_hides_neither() -> None:
    calls = [chat_call("f", made="same"), chat_call("g", made="same")]
    answers = [{"role": "tool", "tool_call_id": "same", "content": text} for text in ("1", "2")]
    found = tool_calls_in([{"role": "assistant", "content": "", "tool_calls": calls}, *answers])
    assert [(call.name, call.result) for call in found] == [("f", "1"), ("g", "2")]


def test_what_a_turns_model_calls_asked_for_is_answered_in_the_next() -> None:
    made = {"id": "c1", "name": "find", "arguments": {"id": 7}}
    asked = CallTrace("agent", "m", tool_calls=[made])
    then = CallTrace("agent", "m", messages=CHAT)
    (call,) = tool_calls_of([asked, then])
    assert (call.name, call.result) == ("find", "on its way")
    (open_call,) = tool_calls_of([asked])
    assert (open_call.result, open_call.error) == (None, None)


def test_sizes_are_bounded() -> None:
    long = "x" * (TOOL_CHARS + 5)
    many = [chat_call("f", f'"{long}"', f"c{n}") for n in range(MOST_TOOL_CALLS + 3)]
    answer = {"role": "tool", "tool_call_id": "c0", "content": long}
    found = tool_calls_in([{"role": "assistant", "content": "", "tool_calls": many}, answer])
    assert len(found) == MOST_TOOL_CALLS
    assert len(found[0].arguments) < TOOL_CHARS + 50 and "more" in found[0].arguments
    assert found[0].result is not None and len(found[0].result) < TOOL_CHARS + 50


def test_arguments_that_are_no_json_stay_text() -> None:
    message = {"role": "assistant", "content": "", "tool_calls": [chat_call("f", "{x")]}
    (call,) = tool_calls_in([message])
    assert call.arguments == "{x"


@pytest.mark.parametrize(
    "returned",
    [
        "Hello",
        {"role": "assistant", "content": "Hello"},
        SimpleNamespace(type="ai", content="Hello"),
        {"messages": [CHAT[0], {"role": "assistant", "content": "Hello"}]},
        {"messages": [SimpleNamespace(type="ai", content=[{"type": "text", "text": "Hello"}])]},
    ],
)
def test_a_text_a_message_and_a_state_are_replies(returned: Any) -> None:
    assert read_reply(returned).text == "Hello"


def test_of_a_state_only_this_turns_calls_count() -> None:
    before = [
        {"role": "assistant", "content": None, "tool_calls": [chat_call("old", made="c0")]},
        {"role": "tool", "tool_call_id": "c0", "content": "then"},
    ]
    state = {"messages": [*before, *CHAT, {"role": "assistant", "content": "It is on its way."}]}
    reply = read_reply(state)
    assert reply.tool_calls is not None
    assert [call.name for call in reply.tool_calls] == ["find"]


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "returned None"),
        (42, "returned int 42"),
        ({"answer": "Hello"}, "returned dict"),
        (["Hello"], "returned list"),
        ({"messages": []}, "returned dict"),
        ({"role": "user", "content": "Hello"}, "of role 'user'"),
        ({"messages": CHAT}, "of role 'tool'"),
        ({"messages": CHAT[:2]}, "calls 'find' and says nothing"),
    ],
)
def test_anything_else_is_refused_in_words(returned: Any, said: str) -> None:
    with pytest.raises(BadReplyError, match=said):
        read_reply(returned)
