"""Which prompt a failing case's trace speaks against."""

from __future__ import annotations

from typing import Any

from cornerman.domain.battles import ToolCall
from cornerman.domain.blame import Step, Suspicion, shown_steps, steps_of, suspicions

NAMES = ("plan", "write", "tool:pay")
GOOD = ToolCall(name="pay", arguments={"sum": 5}, result="paid")
BAD = ToolCall(name="pay", arguments={}, error="Error: no order is named")


def blamed(steps: list[Step]) -> list[tuple[str, int]]:
    return [(one.prompt, one.step) for one in suspicions(steps, NAMES) if one.is_shown]


def test_a_tool_called_wrongly_speaks_against_its_caller_and_its_description() -> None:
    steps = [Step(("plan", "tool:pay"), tool_calls=(BAD,)), Step(("write",), said="Sorry.")]
    assert blamed(steps) == [("tool:pay", 0), ("plan", 0), ("write", 1)]
    assert "no order is named" in suspicions(steps, NAMES)[0].why


def test_going_on_after_an_error_speaks_against_the_next_step_too() -> None:
    steps = [Step(("plan",), tool_calls=(BAD,)), Step(("write",), said="Done!")]
    found = {one.prompt: one.why for one in suspicions(steps, NAMES)}
    assert "went on after the error of pay" in found["write"]


def test_an_error_that_was_mended_speaks_against_nobody() -> None:
    steps = [
        Step(("plan",), tool_calls=(BAD,)),
        Step(("plan",), tool_calls=(GOOD,)),
        Step(("write",), said="Paid."),
    ]
    assert blamed(steps) == []


def test_without_an_error_the_last_step_is_the_likeliest_and_others_keep_a_part() -> None:
    steps = [Step(("plan",), tool_calls=(GOOD,)), Step(("write",), said="Paid.")]
    found = suspicions(steps, NAMES)
    said = [(one.prompt, one.why) for one in found]
    assert said == [("write", "the last step"), ("plan", "in use")]
    assert found[0].weight > found[1].weight > 0


def test_prompts_that_are_not_trained_are_nobodys_business() -> None:
    steps = [Step(("plan",), tool_calls=(BAD,)), Step(("write",))]
    assert {one.prompt for one in suspicions(steps, ["write"])} == {"write"}
    assert suspicions([], NAMES) == []


def call(prompts: list[str], **facts: Any) -> dict[str, Any]:
    plain = {"messages": [], "response": None, "tool_calls": [], "error": None, "role": "agent"}
    return plain | {"prompts": prompts} | facts


def test_steps_are_read_from_a_stored_trace() -> None:
    asked = {"id": "c1", "name": "pay", "arguments": {"sum": 5}}
    answered = [{"role": "tool", "tool_call_id": "c1", "content": "Error: no funds"}]
    said = {"role": "assistant", "content": "It failed."}
    trace = [
        call(["plan"], tool_calls=[asked]),
        call([], role="referee"),
        call(["write"], messages=answered, response=said),
    ]
    first, second = steps_of(trace)
    assert first.tool_calls[0].error == "Error: no funds"
    assert (second.said, second.prompts) == ("It failed.", ("write",))


def test_a_model_is_shown_the_steps_and_where_it_went_wrong() -> None:
    steps = [Step(("plan",), tool_calls=(BAD,)), Step(("write",), said="Sorry.")]
    text = shown_steps(steps, Suspicion("plan", "it was called wrongly", 4, 0))
    assert "step 1 (plan)" in text and "pay({}) -> failed: Error: no order is named" in text
    assert text.index("'plan' is to blame") < text.index("step 2 (write): Sorry.")
    # A single answer is in the case already.
    assert shown_steps([Step(("system",), said="Hello")]) == ""


def test_long_traces_are_shown_in_part() -> None:
    steps = [Step(("plan",), said="word " * 500)] * 40
    text = shown_steps(steps)
    assert "28 steps more" in text and len(text) < 12 * 400
