"""Agents of every framework, unchanged: metered, traced, within the budget."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cornerman.domain.errors import CornermanError
from cornerman.domain.training.progress import TooManyErroredError
from cornerman.rehearsal import rehearsal_endpoint
from cornerman.storage import traces
from tests.support.llm_standin import LLMStandin, Reply
from tests.support.ports import free_port
from tests.support.training import MODEL_KEY, World, climb
from tests.support.upstream import Asked, Sent, Upstream

FRAMEWORKS = ["openai", "anthropic", "langgraph", "pydantic_ai", "openai_agents", "dspy"]
TRIAGE = "cornerman/examples/triage.jsonl"
LABELS = "refund, cancel, delivery, billing, login, bug, complaint, other"


def request_of(framework: str, **changes: Any) -> dict[str, Any]:
    text = f"Label the customer's message. The labels are: {LABELS}."
    return {
        "workflow_id": framework,
        "dataset": {"path": TRIAGE},
        "max_cases": 12,
        "evaluators": [{"id": "right", "entrypoint": "exact_match"}],
        "optimizer": {"epochs": 2, "max_concurrency": 8, "proposals": 1, "minibatch_size": 3},
        "prompts": {"system": {"text": text, "requires_grad": True}},
        "graph_config": {"entrypoint": f"cornerman.examples.agents.{framework}_agent:agent"},
    } | changes


def agent_calls(world: World) -> list[dict[str, Any]]:
    return world.rows("SELECT * FROM llm_calls WHERE role = 'agent'")


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_each_frameworks_example_trains(world: World, framework: str):
    # litellm asks a site for prices, where it is not told to take its own.
    world.set(EVALUATOR_MODULES="cornerman.examples", LITELLM_LOCAL_MODEL_COST_MAP="True")
    result = await world.train(request_of(framework))
    assert result["status"] == "completed" and result["notes"] == []
    assert result["cases"]["scored"] >= 12 and result["cases"]["errored"] == 0
    calls = agent_calls(world)
    # DSPy asks again, in JSON, where an answer is not in its own form.
    each = 1 if framework in ("openai", "anthropic") else 2
    assert len(calls) == each * result["cases"]["scored"]
    assert {call["outcome"] for call in calls} == {"ok"} and all(c["cost_pico"] for c in calls)
    assert all(call["subject"].startswith("case:") for call in calls)
    assert sum(c["cost_pico"] for c in world.rows("SELECT cost_pico FROM case_results")) == sum(
        call["cost_pico"] for call in calls
    )
    with world.db.reading() as session:
        trace = traces.read_trace(session, "r1", calls[0]["subject"])
    assert len(trace) == each and trace[0]["response"] is not None
    if framework != "dspy":  # which writes instructions into a template of its own
        assert trace[0]["prompts"] == ["system"]
    if framework in ("langgraph", "pydantic_ai", "openai_agents"):
        assert trace[0]["tool_calls"][0]["name"] == "look_up_account"
    if framework != "dspy":  # whose labels begin with a capital
        assert any(line["score"] == 1.0 for line in result["results"])
    assert all(isinstance(line["output"], str) for line in result["results"])


OPENAI_AGENT = """
import os, threading, subprocess, sys, json
from openai import AsyncOpenAI, OpenAI

client, plain = AsyncOpenAI(max_retries=0), OpenAI(max_retries=0)
seen = dict(os.environ)

def asked(inputs, prompts):
    content = [{"role": "system", "content": prompts["system"]},
               {"role": "user", "content": str(inputs["need"])}]
    return {"model": "gpt-4o-mini", "messages": content, "max_tokens": 20}

async def agent(inputs, prompts, context):
    said = await client.chat.completions.create(**asked(inputs, prompts))
    return said.choices[0].message.content

async def swallows(inputs, prompts, context):
    try:
        return await agent(inputs, prompts, context)
    except Exception:
        return "yes"

def in_a_thread(inputs, prompts, context):
    found = []
    def work():
        found.append(plain.chat.completions.create(**asked(inputs, prompts)))
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return found[0].choices[0].message.content

CHILD = '''
import json, sys
from openai import OpenAI
said = OpenAI().chat.completions.create(**json.loads(sys.stdin.read()))
print(said.choices[0].message.content, end="")
'''

def in_a_child(inputs, prompts, context):
    given = json.dumps(asked(inputs, prompts))
    done = subprocess.run([sys.executable, "-c", CHILD], input=given, capture_output=True,
                          text=True, check=True)
    return done.stdout

async def by_hand(inputs, prompts, context):
    own = AsyncOpenAI(base_url=context.base_url, api_key=context.api_key)
    said = await own.chat.completions.create(**asked(inputs, prompts))
    return said.choices[0].message.content

elsewhere = AsyncOpenAI(base_url="https://api.openai.com/v1", api_key="sk-of-their-own")

async def to_the_provider(inputs, prompts, context):
    said = await elsewhere.chat.completions.create(**asked(inputs, prompts))
    return said.choices[0].message.content

async def chats(inputs, prompts, context):
    return await context.chat(asked(inputs, prompts)["messages"], prompt=prompts["system"])

async def silent(inputs, prompts, context):
    return prompts["system"] and "yes"

async def deaf(inputs, prompts, context):
    return "yes"

async def late(inputs, prompts, context):
    import asyncio
    asyncio.get_running_loop().call_later(0, lambda: None)
    async def later():
        await asyncio.sleep(1.3)
        try:
            await client.chat.completions.create(**asked(inputs, prompts))
        except Exception as error:
            open(os.environ["LATE"], "a").write(f"{type(error).__name__}\\n")
    try:
        await asyncio.sleep(30)
    finally:
        asyncio.ensure_future(later())
"""


def climbing(world: World, name: str, **changes: Any) -> dict[str, Any]:
    from tests.support.training import request_of

    return request_of(4, graph_config=world.agent(OPENAI_AGENT, name), **changes)


@pytest.mark.parametrize(
    "name", ["agent", "in_a_child", "by_hand", "to_the_provider", "chats", "in_a_thread"]
)
async def test_every_way_to_a_model_is_booked_on_its_case(world: World, name: str):
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        result = await world.train(climbing(world, name))
    assert result["cases"]["scored"] == 4, result
    calls = agent_calls(world)
    assert len(calls) == 4 == len(server.requests)
    assert {r.headers["authorization"] for r in server.requests} == {f"Bearer {MODEL_KEY}"}
    if name == "in_a_thread":
        assert {call["subject"] for call in calls} == {"run"}
        assert "no case's context" in result["notes"][0]
    else:
        assert len({call["subject"] for call in calls}) == 4 and result["notes"] == []
        held = world.rows("SELECT cost_pico, model_calls FROM case_results")
        assert all(row["model_calls"] == 1 and row["cost_pico"] > 0 for row in held)


async def test_the_real_key_is_nowhere_in_the_agents_process(world: World):
    import sys

    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        world.set(SANDBOX_OPENAI_API_KEY=MODEL_KEY)
        request = climbing(world, "agent")
        await world.train(request)
        module = sys.modules[request["graph_config"]["entrypoint"].split(":")[0]]
    assert MODEL_KEY not in json.dumps(module.seen)
    assert module.seen["OPENAI_BASE_URL"].startswith("http://127.0.0.1:")
    # It is there again for whoever started the run.
    assert os.environ["OPENAI_API_KEY"] == os.environ["SANDBOX_OPENAI_API_KEY"] == MODEL_KEY
    assert os.environ["OPENAI_BASE_URL"] == server.base_url
    assert MODEL_KEY not in world.dump()


async def test_a_budget_holds_whatever_the_agent_makes_of_it(world: World):
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        request = climbing(
            world, "swallows", optimizer={"max_cost_usd": 0.000115, "max_concurrency": 1}
        )
        result = await world.train(request)
    assert result["status"] == "stopped" and result["stopped_by"] == "budget"
    assert 0 < result["cost_usd"] <= 0.000115
    # An answer that its agent made up for want of money is no result.
    assert result["cases"]["scored"] == len(server.requests) < 4


async def test_a_late_agents_key_is_dead(
    world: World, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
):
    import asyncio

    monkeypatch.setenv("LATE", str(tmp_path / "late"))
    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        result = await world.train(climbing(world, "late", optimizer={"case_timeout_seconds": 1}))
        await asyncio.sleep(1.5)
    assert result["cases"]["timed_out"] == 4 and server.requests == []
    assert set((tmp_path / "late").read_text().split()) == {"AuthenticationError"}


async def test_an_agent_without_a_metered_call_is_named(world: World):
    result = await world.train(climbing(world, "silent"))
    assert "no metered call" in result["notes"][0] and "silent" in result["notes"][0]


async def test_an_agent_that_reads_no_prompt_ends_before_the_money_is_spent(world: World):
    request = climbing(world, "deaf", optimizer={"epochs": 3, "max_concurrency": 1})
    request["dataset"]["cases"] = [
        {"inputs": {"need": n}, "expected_output": "no"} for n in range(40)
    ]
    with pytest.raises(CornermanError, match="has read none of the trainable prompts"):
        await world.train(request)
    assert world.rows("SELECT count(*) AS n FROM case_results")[0]["n"] < 12


GRAPHS = """
from typing import Annotated
from typing_extensions import TypedDict
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

def echo(state):
    kinds = [m.type for m in state["messages"]]
    texts = [m.content for m in state["messages"]]
    return {"messages": [AIMessage(content=f"{kinds} {texts}")], "label": "kept"}

class Labelled(MessagesState):
    label: str

built = StateGraph(Labelled)
built.add_node("echo", echo)
built.add_edge(START, "echo")
talking = built.compile()

class Plain(TypedDict):
    need: int
    out: str

def answer(state, config):
    prompt = config["configurable"]["prompts"]["system"]
    return {"out": f"{prompt} {state['need']}"}

made = StateGraph(Plain)
made.add_node("answer", answer)
made.add_edge(START, "answer")
plain = made.compile()
"""


async def test_a_graph_that_asks_for_messages_gets_the_prompt_and_the_inputs(world: World):
    from tests.support.training import request_of

    module = world.module(GRAPHS)
    label = {"id": "label", "entrypoint": "exact_match", "config": {"path": "label"}}
    request = request_of(1, graph_config={"entrypoint": f"{module}:talking"})
    request["evaluators"] = [label]
    request["dataset"]["cases"][0]["expected_output"] = "kept"
    result = await world.train(request)
    (line,) = [each for each in result["results"] if each["split"] == "train"][:1]
    assert line["output"] == "['system', 'human'] ['LEVEL 1', '1']"
    assert line["score"] == 1.0


async def test_a_graph_of_its_own_state_reads_the_prompt_from_its_config(world: World):
    from tests.support.training import request_of

    module = world.module(GRAPHS)
    request = request_of(4, graph_config={"entrypoint": f"{module}:plain"})
    result = await world.train(request)
    assert result["results"][0]["output"] == {"need": 1, "out": "LEVEL 1 1"}
    assert not any("never read" in note for note in result["notes"])


RUN_SYNC = """
from pydantic_ai import Agent

model = Agent("openai-chat:gpt-4o-mini")

def agent(inputs, prompts, context):
    with model.override(instructions=prompts["system"]):
        return model.run_sync(str(inputs["need"])).output
"""


async def test_synchronous_agents_share_one_loop(world: World):
    from tests.support.training import request_of

    async with LLMStandin(climb) as server:
        world.use_model(server.base_url)
        graph = {"entrypoint": f"{world.module(RUN_SYNC)}:agent"}
        request = request_of(40, graph_config=graph, optimizer={"max_concurrency": 8})
        result = await world.train(request)
    assert result["cases"] == {"scored": result["cases"]["scored"], "timed_out": 0, "errored": 0}


async def test_an_openai_compatible_agent_gets_the_prompt_as_system_message(world: World):
    from tests.support.training import request_of

    async with LLMStandin(lambda request, n: Reply(text="yes")) as agent:
        http = {"url": agent.base_url, "protocol": "openai", "model": "their-agent"}
        result = await world.train(request_of(1, graph_config={"http": http}))
    asked = agent.requests[0]
    assert asked.body["model"] == "their-agent"
    assert [m["role"] for m in asked.body["messages"]] == ["system", "user"]
    assert asked.headers["x-openai-base-url"].startswith("http://127.0.0.1:")
    assert asked.headers["x-openai-api-key"].startswith("sk-cornerman-")
    assert result["results"][0]["output"] == "yes" and "no metered call" in result["notes"][0]


class Faulty:
    """The rehearsal endpoint behind a server that fails now and then, and counts what it sold."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.sold = 0
        self.faults = 0

    def script(self, asked: Asked) -> Sent:
        kind = asked.n % 9
        if kind in (2, 5, 7):
            self.faults += 1
        if kind == 2:
            return Sent(
                status=429, json={"error": {"message": "slow"}}, headers={"Retry-After": "0"}
            )
        if kind == 5:
            return Sent(status=500, json={"error": {"message": "oops"}})
        path = asked.path.removeprefix("/v1")
        answer = httpx2.post(self.base_url + path, json=asked.body, trust_env=False)
        usage = answer.json().get("usage", {})
        self.sold += usage.get("completion_tokens", usage.get("output_tokens", 0))
        if kind == 7:
            # Sold, and then the connection breaks before the answer has come.
            return Sent(chunks=[answer.content[:20]], cut=True, headers={"Content-Length": "999"})
        return Sent(json=answer.json())


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_a_budget_is_never_passed_by_any_framework_whatever_fails(
    world: World, framework: str
):
    async with rehearsal_endpoint(latency_ms=0) as rehearsal:
        faulty = Faulty(rehearsal.base_url)
        async with Upstream(faulty.script) as upstream:
            world.use_model(upstream.url, EVALUATOR_MODULES="cornerman.examples")
            world.set(
                LITELLM_LOCAL_MODEL_COST_MAP="True",
                ANTHROPIC_BASE_URL=upstream.url.removesuffix("/v1"),
                ANTHROPIC_API_KEY=MODEL_KEY,
                MAX_OUTPUT_TOKENS="200",
                AGENT_MODEL="gpt-4o-mini",
                OPTIMIZER_MODEL="gpt-4o-mini",
            )
            budget = 0.01 if framework == "anthropic" else 0.003
            request = request_of(framework, max_cases=40)
            request["optimizer"] = {"epochs": 1, "max_concurrency": 8, "max_cost_usd": budget}
            with contextlib.suppress(TooManyErroredError):
                await world.train(request)
    assert faulty.faults >= 2
    (spent,) = world.rows("SELECT * FROM budgets WHERE name = 'run:r1'")
    assert 0 < spent["spent_pico"] <= budget * 10**12 and spent["reserved_pico"] == 0
    calls = agent_calls(world)
    assert all(call["status"] == "settled" for call in calls)
    assert sum(call["cost_pico"] for call in calls) <= spent["spent_pico"]
    # What was sold is booked, to the token where its usage came, and at its worst case where not.
    known = sum(call["output_tokens"] for call in calls)
    assert known <= faulty.sold
    lost = [call for call in calls if call["outcome"] in ("truncated", "unknown", "timeout")]
    assert all(call["cost_pico"] == call["reserved_pico"] for call in lost)


async def test_the_example_in_a_process_of_its_own_trains(world: World):
    port = free_port()
    source = Path("cornerman/examples/agents/http_agent.py").resolve()
    process = subprocess.Popen([sys.executable, str(source), str(port)])
    try:
        graph = {"http": {"url": f"http://127.0.0.1:{port}/"}}
        await until_listens(port)
        result = await world.train(request_of("http", graph_config=graph))
    finally:
        process.kill()
        process.wait()
    calls = agent_calls(world)
    assert result["notes"] == [] and len(calls) == result["cases"]["scored"] >= 12
    assert all(call["subject"].startswith("case:") for call in calls)


async def until_listens(port: int) -> None:
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise AssertionError("the agent's process did not listen")
