"""`tool_calls`: required, forbidden, exactly these changes, and what must be said."""

from __future__ import annotations

from typing import Any

import pytest

from cornerman.domain.errors import BadInputError
from cornerman.domain.training import EvaluatorOptions
from cornerman.domain.training.cases import EvaluationContext, Score
from cornerman.evaluators.base import build_evaluator


def call(name: str, error: str | None = None, **arguments: Any) -> dict[str, Any]:
    return {"turn": 1, "name": name, "arguments": arguments, "result": "ok", "error": error}


async def score(
    config: dict[str, Any], *made: dict[str, Any], expected: Any = None, said: str = "Done."
) -> Score:
    spec = EvaluatorOptions(id="t", entrypoint="tool_calls", config=config, weight=1.0)
    turns = [
        {"index": 0, "speaker": "persona", "text": "1,234"},
        {"index": 1, "speaker": "agent", "text": said},
    ]
    output = {"turns": turns, "tool_calls": list(made), "ended_by": None}
    context = EvaluationContext({}, output, expected, {}, 0.0)
    return await build_evaluator(spec, allowed=[])(context)


PAY_5 = {"name": "pay", "arguments": {"sum": 5}}


@pytest.mark.parametrize(
    ("config", "made", "value"),
    [
        ({"required": ["find"]}, [call("find")], 1),
        ({"required": ["find"]}, [], 0),
        ({"required": ["find"]}, [call("find", error="Error: gone")], 0),
        ({"required": [PAY_5]}, [call("pay", sum=5.0, to="x")], 1),
        ({"required": [PAY_5]}, [call("pay", sum=6)], 0),
        ({"forbidden": ["drop"]}, [call("find")], 1),
        ({"forbidden": ["drop"]}, [call("drop", error="Error: no")], 0),
        ({"most_calls": 1}, [call("a"), call("b")], 0),
        ({"changing": ["pay"]}, [call("find")], 1),
        ({"changing": ["pay"]}, [call("pay", sum=5)], 0),
        ({"said": ["1,050"]}, [], 0),
    ],
)
async def test_conditions(config: dict[str, Any], made: list[dict[str, Any]], value: float) -> None:
    assert (await score(config, *made)).value == value


async def test_exactly_the_expected_changes_are_made_and_each_as_often() -> None:
    expected = {"tool_calls": [PAY_5], "said": ["$1,050"]}
    config, paid, words = {"changing": ["pay"]}, call("pay", sum=5), "It is $1050."
    good = await score(config, call("look"), paid, expected=expected, said=words)
    assert good == Score(1.0, None)
    twice = await score(config, paid, paid, expected=expected, said=words)
    assert twice.value == 0 and twice.reason is not None and "should not have been" in twice.reason
    quiet = await score(config, paid, expected=expected)
    assert quiet.reason == "'$1,050' was not said"


async def test_a_state_of_messages_will_do() -> None:
    made = [{"id": "1", "function": {"name": "find", "arguments": "{}"}}]
    state = {"messages": [{"role": "assistant", "content": "", "tool_calls": made}]}
    config = {"required": ["find"]}
    spec = EvaluatorOptions(id="t", entrypoint="tool_calls", config=config, weight=1)
    evaluate = build_evaluator(spec, allowed=[])
    assert (await evaluate(EvaluationContext({}, "text", None, {}, 0.0, state))).value == 1


async def test_an_output_without_calls_is_a_fault_and_no_low_score() -> None:
    spec = EvaluatorOptions(id="t", entrypoint="tool_calls", config={}, weight=1)
    evaluate = build_evaluator(spec, allowed=[])
    with pytest.raises(Exception, match="needs an output with `tool_calls`"):
        await evaluate(EvaluationContext({}, "text", None, {}, 0.0))


def test_unknown_conditions_are_refused_by_name() -> None:
    spec = EvaluatorOptions(id="t", entrypoint="tool_calls", config={"forbiden": ["x"]}, weight=1)
    with pytest.raises(BadInputError, match="forbiden"):
        build_evaluator(spec, allowed=[])
