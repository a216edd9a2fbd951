"""Demonstrations in a run: sent as turns, learned from train cases, told apart in the result."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cornerman.domain.errors import BadInputError
from cornerman.domain.training.parse import parse_train_spec
from tests.support.llm_standin import LLMStandin, Reply
from tests.support.training import World, request_of

LABELS = ("red", "green", "blue", "grey")


def cases(count: int = 40) -> list[dict[str, Any]]:
    return [
        {"id": f"k{n}", "inputs": {"ask": f"thing {n}"}, "expected_output": LABELS[n % 4]}
        for n in range(count)
    ]


def by_example(request: dict[str, Any], n: int) -> Reply:
    """A model that says a label only once it has seen it said, or read it in the prompt."""
    messages = request["messages"]
    if "You improve one prompt" in str(messages[0]["content"]):
        return Reply(text="<rewrite>Name the colour: red.</rewrite>")
    label = LABELS[int(str(messages[-1]["content"]).split()[-1]) % 4]
    shown = {message["content"] for message in messages if message["role"] == "assistant"}
    return Reply(text=label if label in shown or label in messages[0]["content"] else "?")


def asked(**changes: Any) -> dict[str, Any]:
    optimizer = {"strategy": "few_shot", "epochs": 2} | changes.pop("optimizer", {})
    prompts = {"system": {"text": "Name the colour.", "requires_grad": True}}
    base = request_of(4, optimizer=optimizer)
    return base | {"dataset": {"cases": cases()}, "prompts": prompts} | changes


async def test_few_shot_trains_a_chat_agent_and_needs_no_optimizers_model(world: World) -> None:
    async with LLMStandin(by_example) as model:
        world.use_model(model.base_url, OPTIMIZER_MODEL="has-no-price")
        result = await world.train(asked())
        assert await world.train(asked()) == result, "a finished run that goes on does nothing"
    best = result["prompts"]["system"]
    assert best["text"] == "Name the colour."
    assert {demo["output"] for demo in best["demos"]} == set(LABELS)
    assert result["best_checkpoint"]["runnable_config"]["prompts"]["system"] == best
    facts = result["demonstrations"]
    assert facts["count"] == len(best["demos"])
    assert facts["tokens_per_call"] > 0
    assert facts["cost_usd_per_call"] > 0
    gain = facts["test_gain"]["demonstrations"]
    assert (gain["mean"], gain["n"]) == (1.0, 8)
    assert gain["low"] > 0
    assert any("Demonstrations moved the test score by +1.00" in note for note in result["notes"])
    roles = {row["role"] for row in world.rows("SELECT role FROM llm_calls")}
    assert roles == {"agent"}


async def test_text_alone_demonstrations_alone_and_both_are_told_apart(world: World) -> None:
    async with LLMStandin(by_example) as model:
        world.use_model(model.base_url)
        optimizer = {"strategy": "reflective", "epochs": 5, "demos": {"max": 2}, "proposals": 2}
        result = await world.train(asked(optimizer=optimizer))
    best = result["prompts"]["system"]
    assert best["demos"]
    assert "red" in best["text"]
    gains = result["demonstrations"]["test_gain"]
    assert set(gains) == {"text", "demonstrations", "both"}
    assert gains["both"]["mean"] == result["improvement"]["mean"]
    alone = gains["text"]["mean"]
    assert 0 < alone < 1, "only red is named in the text"
    assert 0 < gains["demonstrations"]["mean"] <= gains["both"]["mean"]
    assert any(f"the text alone by {alone:+.2f}" in note for note in result["notes"])


async def test_demonstrations_that_are_given_go_out_as_turns(world: World) -> None:
    demos = [{"inputs": {"ask": f"thing {n}"}, "output": LABELS[n]} for n in range(2)]
    prompts = {"system": {"text": "Name {ask}.", "requires_grad": True, "demos": demos}}
    async with LLMStandin(by_example) as model:
        world.use_model(model.base_url)
        result = await world.train(asked(prompts=prompts, optimizer={"epochs": 1}))
    bodies = [recorded.body for recorded in model.requests]
    [first] = [b for b in bodies if b["messages"][-1]["content"] == "thing 5"][:1]
    assert first["messages"] == [
        {"role": "system", "content": "Name thing 5."},
        {"role": "user", "content": "thing 0"},
        {"role": "assistant", "content": "red"},
        {"role": "user", "content": "thing 1"},
        {"role": "assistant", "content": "green"},
        {"role": "user", "content": "thing 5"},
    ]
    assert result["prompts"]["system"]["demos"] == demos
    assert result["demonstrations"]["test_gain"] == {}


async def test_an_agent_of_ones_own_reads_them(world: World) -> None:
    agent = world.agent(
        """
        def agent(inputs, prompts, context):
            shown = prompts["system"].demos
            assert prompts["system"]["demos"] == shown
            turns = prompts["system"].messages(inputs)
            assert len(turns) == 2 + 2 * len(shown)
            label = inputs["ask"].split()[-1]
            known = {demo["output"] for demo in shown}
            said = ("red", "green", "blue", "grey")[int(label) % 4]
            return said if said in known else "?"
        """
    )
    result = await world.train(asked(graph_config=agent))
    assert len(result["prompts"]["system"]["demos"]) >= 4
    assert result["test_score"]["value"] == 1.0


DEMO = {"inputs": {"ask": "thing 1"}, "output": "green"}


@pytest.mark.parametrize(
    ("demos", "field", "words"),
    [
        ([{"inputs": {"asked": "x"}, "output": "red"}], "0.inputs", "cases have ask"),
        ([{"inputs": {"ask": "x", "b": 1}, "output": "red"}], "0.inputs", "which no case has"),
        ([{"inputs": {"ask": "word " * 60_000}, "output": "red"}], "", "gpt-4 reads 8,192"),
        ([{"inputs": {"ask": "word " * 8_000}, "output": "red"}], "", "max_cost_usd is $0.001"),
    ],
)
async def test_demonstrations_that_cannot_be_used_are_refused_with_their_place(
    world: World, demos: list[Any], field: str, words: str
) -> None:
    prompts = {"system": {"text": "Name it.", "requires_grad": True, "demos": demos}}
    world.set(AGENT_MODEL="gpt-4")
    with pytest.raises(BadInputError, match=re.escape(words)) as caught:
        await world.train(asked(prompts=prompts, optimizer={"max_cost_usd": 0.001}))
    assert caught.value.field == "prompts.system.demos" + (f".{field}" if field else "")
    assert world.rows("SELECT * FROM llm_calls") == []


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"demos": [DEMO] * 65}, "prompts.system.demos", "has 65, over the limit of 64"),
        ({"demos": [{"inputs": {}, "output": "x"}]}, "prompts.system.demos.0.inputs", "is empty"),
        ({"demos": [{"inputs": {"a": 1}}]}, "prompts.system.demos.0.output", "is required"),
        (
            {"demos": [DEMO, {"inputs": {"ask": "x"}, "output": {"a": 1}}]},
            "prompts.system.demos.1.output",
            "is no text",
        ),
        ({"demos": "none"}, "prompts.system.demos", "'none'"),
    ],
)
def test_demonstrations_of_no_shape_are_refused(
    change: dict[str, Any], field: str, words: str
) -> None:
    spec = asked(prompts={"system": {"text": "Name it.", "requires_grad": True} | change})
    with pytest.raises(BadInputError, match=re.escape(words)) as caught:
        parse_train_spec(spec, source="cli")
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("optimizer", "field"),
    [
        ({"demos": {"max": 65}}, "optimizer.demos.max"),
        ({"strategy": "few_shot", "demos": {"max": 0}}, "optimizer.demos.max"),
        ({"strategy": "gepa", "demos": {"max": 2}}, "optimizer.demos"),
        ({"strategy": "textual_gradient", "demos": {"max": 2}}, "optimizer.demos"),
    ],
)
def test_who_learns_how_many_is_checked(optimizer: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInputError) as caught:
        parse_train_spec(asked(optimizer=optimizer), source="cli")
    assert caught.value.field == field


@pytest.mark.parametrize("share", [0.4, 0.8])
async def test_a_search_that_was_stopped_goes_on_as_if_it_had_not_been(
    world: World, share: float
) -> None:
    optimizer = {"strategy": "reflective", "epochs": 4, "demos": {"max": 4}, "proposals": 2}
    async with LLMStandin(by_example) as model:
        world.use_model(model.base_url)
        whole = await world.train(asked(optimizer=optimizer), "whole")
        less = optimizer | {"max_cost_usd": share * whole["cost_usd"]}
        stopped = await world.train(asked(optimizer=less), "parts")
        assert stopped["stopped_by"] == "budget"
        resumed = await world.train(asked(optimizer=optimizer | {"max_cost_usd": 10}), "parts")
    assert resumed["prompts"] == whole["prompts"]
    assert resumed["validation_score"] == whole["validation_score"]
    query = "SELECT id, prompts, decision FROM candidates WHERE run_id = :run ORDER BY id"
    assert world.rows(query, run="parts") == world.rows(query, run="whole")
    # What was in flight when the budget ended is asked again, and nothing else.
    calls = [run["model_calls"] for run in (whole, resumed)]
    assert calls[0] <= calls[1] <= calls[0] + 8
