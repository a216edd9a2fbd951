"""Agents of every shape are called alike, each case with its own copies."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from cornerman.domain.errors import BadInputError, EntrypointRefusedError
from cornerman.domain.training import GraphOptions
from cornerman.domain.training.candidates import Prompt
from cornerman.tasks.agent import (
    AgentContext,
    PromptText,
    chat_messages,
    fill_prompt,
    prompts_for_agent,
)
from cornerman.tasks.own_agents import build_agent
from tests.tasks.conftest import HERE

PROMPTS = {"system": Prompt(text="Be kind.", model="m", model_kwargs={"top_p": 1})}


async def no_chat(*args: Any, **kwargs: Any) -> str:
    raise AssertionError("no model is asked here")


def context() -> AgentContext:
    return AgentContext("r", "case", "c0", 2, no_chat, 30.0)


async def answer(name: str, allowed: str = HERE) -> Any:
    agent = build_agent(GraphOptions(entrypoint=f"{HERE}:{name}"), [allowed])
    return await agent({"question": "why?"}, prompts_for_agent(PROMPTS), context())


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("Answer {question}", "Answer why?"),
        ("{question}{question}", "why?why?"),
        ("{absent} {question!r} {0} {}", "{absent} {question!r} {0} {}"),
        ('{"json": {"a": 1}} {question}', '{"json": {"a": 1}} why?'),
        ("{data}", '{"a": ["ü"]}'),
        ("{tricky}", "{question}"),
    ],
)
def test_a_prompts_places_are_filled_and_other_braces_stay(text: str, filled: str):
    inputs = {"question": "why?", "data": {"a": ["ü"]}, "tricky": "{question}"}
    assert fill_prompt(text, inputs) == filled


@pytest.mark.parametrize(
    ("inputs", "user"),
    [
        ({"q": "text"}, "text"),
        ({"q": [1]}, "[1]"),
        ({"b": 1, "a": "ü"}, '{"b": 1, "a": "ü"}'),
        ({}, "{}"),
    ],
)
def test_the_default_agent_says_the_inputs_to_the_prompt(inputs: dict[str, Any], user: str):
    system, asked = chat_messages(Prompt(text="S"), inputs)
    assert system == {"role": "system", "content": "S"}
    assert asked == {"role": "user", "content": user}


def test_the_default_agent_says_a_conversation_as_one():
    call = {"name": "look", "arguments": {"id": 7}}
    talk = [
        {"role": "user", "content": "Where is it?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "lost", "tool_call_id": "c1"},
    ]
    inputs = {"messages": talk, "system": "Parcel 7."}
    assert chat_messages(Prompt(text="S. {system}"), inputs) == [
        {"role": "system", "content": "S. Parcel 7."},
        {"role": "user", "content": "Where is it?"},
        {"role": "assistant", "content": f"[{json.dumps(call)}]"},
        {"role": "user", "content": "[tool] lost"},
    ]
    other = {"messages": ["no", "talk"]}
    assert chat_messages(Prompt(text="S"), other)[1]["content"] == '["no", "talk"]'


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("right", "4"),
        ("sync_agent", "sync why?"),
        ("async_agent", "async Be kind."),
        ("with_context", "r c0 case 2"),
        ("any_arguments", 3),
        ("optional_more", 0.5),
        ("MadeAgent", "made"),
        ("graph", {"thread": "r/c0/case", "prompts": {"system": "Be kind."}}),
        ("Runnable", {"thread": "r/c0/case", "prompts": {"system": "Be kind."}}),
    ],
)
async def test_agents_of_every_shape_answer(name: str, expected: Any):
    assert await answer(name) == expected


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("needs_more", "needs database"),
        ("needs_keyword", "needs database"),
        ("NeedsArguments", "could not be made without arguments"),
        ("number", "is a int; expected a callable"),
        ("absent", "absent"),
    ],
)
async def test_what_cannot_be_an_agent_is_refused_before_the_first_case(name: str, why: str):
    with pytest.raises(BadInputError, match=why) as caught:
        await answer(name)
    assert caught.value.field == "graph_config.entrypoint"


async def test_an_agent_of_another_module_is_refused():
    with pytest.raises(EntrypointRefusedError):
        await answer("right", allowed="elsewhere")


def prompt_text() -> PromptText:
    return prompts_for_agent(PROMPTS)["system"]


def test_a_prompt_behaves_as_its_text():
    prompt = prompt_text()
    assert isinstance(prompt, str)
    assert (prompt, f"{prompt}", prompt + "!", prompt[:2]) == (
        "Be kind.",
        "Be kind.",
        "Be kind.!",
        "Be",
    )
    assert json.dumps({"p": prompt}) == '{"p": "Be kind."}'
    assert {prompt: 1}["Be kind."] == 1


def test_a_prompt_tells_its_other_fields():
    prompt = prompt_text()
    assert (prompt.text, prompt.model, prompt["text"]) == ("Be kind.", "m", "Be kind.")
    assert (prompt.model_kwargs, prompt.metadata) == ({"top_p": 1}, {})


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))]
)
def test_a_prompt_can_be_copied_and_sent_to_another_process(copied: Any):
    prompt = copied(prompt_text())
    assert (prompt, prompt.model, prompt.model_kwargs) == ("Be kind.", "m", {"top_p": 1})


def test_each_case_gets_prompts_of_its_own():
    first, second = prompt_text(), prompt_text()
    first.prompt.model_kwargs["top_p"] = 0
    assert second.model_kwargs == PROMPTS["system"].model_kwargs == {"top_p": 1}
