"""Training an agent of several prompts and tools: what was in use where it failed is rewritten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.llm_standin import LLMStandin, Reply
from tests.support.training import World, request_of

AGENT = """
import json
from openai import AsyncOpenAI

client = AsyncOpenAI(max_retries=0)

async def agent(inputs, prompts, context):
    search = {"name": "search", "description": prompts["tool:search"],
              "parameters": {"type": "object", "properties": {}}}
    talk = [{"role": "system", "content": prompts["plan"]},
            {"role": "user", "content": str(inputs["need"])}]
    said = await client.chat.completions.create(model="gpt-4o-mini", messages=talk, max_tokens=50,
                                                tools=[{"type": "function", "function": search}])
    message = said.choices[0].message
    talk.append(message.model_dump(exclude_none=True))
    for call in message.tool_calls or ():
        field = json.loads(call.function.arguments).get("field")
        result = "3 found" if field == "town" else "Error: there is no such field; try town"
        talk.append({"role": "tool", "tool_call_id": call.id, "content": result})
    talk[0] = {"role": "system", "content": prompts["write"]}
    said = await client.chat.completions.create(model="gpt-4o-mini", messages=talk, max_tokens=50)
    return said.choices[0].message.content
"""
PROMPTS = {
    "plan": {"text": "Plan what to look for.", "requires_grad": True},
    "tool:search": {"text": "Searches our places.", "requires_grad": True},
    "write": {"text": "Write the answer in one word.", "requires_grad": True},
}


def model(request: dict[str, Any], n: int) -> Reply:
    """Asks for the town where the tool's description says so; then finds what is needed."""
    asked = json.dumps(request["messages"])
    if "<prompt name=" in asked:
        named = asked.split('<prompt name=\\"')[1].split('\\"')[0]
        if named == "tool:search":
            return Reply("<rewrite>Searches our places by their field town.</rewrite>")
        return Reply(f"<rewrite>{PROMPTS[named]['text']} Take care {n}.</rewrite>")
    if request.get("tools"):
        told = request["tools"][0]["function"]["description"]
        field = "town" if "town" in told else "city"
        call = {"name": "search", "arguments": json.dumps({"field": field})}
        made = {"id": f"c{n}", "type": "function", "function": call}
        said = {"role": "assistant", "content": None, "tool_calls": [made]}
        choice = {"index": 0, "finish_reason": "tool_calls", "message": said}
        usage = {"prompt_tokens": 30, "completion_tokens": 10, "total_tokens": 40}
        head = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
        return Reply(body=json.dumps(head | {"choices": [choice], "usage": usage}).encode())
    return Reply("yes" if "3 found" in asked else "no")


def request(world: World, **optimizer: Any) -> dict[str, Any]:
    made = request_of(12, graph_config=world.agent(AGENT, "agent"))
    made["prompts"] = PROMPTS
    for case in made["dataset"]["cases"]:
        case["expected_output"] = "yes"
    made["optimizer"] |= {"epochs": 3, "proposals": 3, "minibatch_size": 2} | optimizer
    return made


@pytest.fixture(autouse=True)
def prefect_server(prefect_harness: None) -> None:
    """Ask for the server, so that no flow starts one of its own."""


async def test_a_tools_description_is_rewritten_where_it_had_the_tool_called_wrongly(
    world: World,
) -> None:
    async with LLMStandin(model) as server:
        world.use_model(server.base_url)
        result = await world.train(request(world))
        asked = [r.body for r in server.requests if "<prompt name=" in json.dumps(r.body)]
    assert result["status"] == "completed" and result["seed_score"] == 0
    assert result["prompts"]["tool:search"]["text"] == "Searches our places by their field town."
    assert result["validation_score"] == 1 and result["notes"] == []
    # The optimizer's model saw what was done, and where it went wrong.
    told = json.dumps(asked)
    assert "there is no such field" in told and "is to blame most likely" in told
    best = result["best_checkpoint"]["metadata"]["candidate_id"]
    (row,) = world.rows(f"SELECT origin FROM candidates WHERE id = '{best}'")
    assert "tool:search" in str(row) or "joined" in str(row)
    origins = str(world.rows("SELECT * FROM candidates"))
    assert "it had the tool search called wrongly" in origins


@pytest.mark.parametrize("strategy", ["textual_gradient", "gepa"])
async def test_other_strategies_are_shown_the_steps_too(world: World, strategy: str) -> None:
    async with LLMStandin(model) as server:
        world.use_model(server.base_url)
        await world.train(request(world, strategy=strategy, epochs=2))
        asked = [
            json.dumps(r.body) for r in server.requests if "there is no such field" in str(r.body)
        ]
    assert any("step 1 (plan, tool:search)" in body for body in asked)


async def test_without_texts_kept_the_prompts_in_use_are_known_all_the_same(
    world: World, tmp_path: Path
) -> None:
    world.set(RECORD_CALLS="usage")
    async with LLMStandin(model) as server:
        world.use_model(server.base_url)
        result = await world.train(request(world))
    assert result["status"] == "completed"
    assert "the last step" in str(world.rows("SELECT * FROM candidates"))
