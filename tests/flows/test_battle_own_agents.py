"""Agents of the user's own in battle: as they are, metered, with their tools in sight."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from cornerman.domain.battles import Battle
from cornerman.domain.errors import BadInputError
from cornerman.storage import traces, workflows
from tests.support.battle_arena import WORKFLOW, Arena, Request, lab_workflow
from tests.support.llm_standin import Reply

AGENTS = '''
import asyncio, os, time
from openai import AsyncOpenAI

client = AsyncOpenAI(max_retries=0)
FORMS = {
    "text": lambda text: text,
    "message": lambda text: {"role": "assistant", "content": text},
    "state": lambda text: {"messages": [{"role": "assistant", "content": text}], "deals": 1},
}
TOOLS = [{"type": "function", "function": {"name": "price_of", "parameters": {"type": "object"}}}]
seen = []

async def ask(inputs, prompts, **more):
    system = {"role": "system", "content": prompts["system"]}
    said = await client.chat.completions.create(
        model="agent-m", messages=[system, *inputs["messages"]], max_tokens=50, **more)
    return said.choices[0].message

async def text(inputs, prompts, context):
    seen.append(inputs)
    return (await ask(inputs, prompts)).content

async def message(inputs, prompts, context):
    return FORMS["message"]((await ask(inputs, prompts)).content)

async def state(inputs, prompts, context):
    return FORMS["state"]((await ask(inputs, prompts)).content)

async def chats(inputs, prompts, context):
    system = {"role": "system", "content": prompts["system"]}
    return await context.chat([system, *inputs["messages"]], prompt=prompts["system"])

async def with_tools(inputs, prompts, context):
    """A loop by hand: what it calls is seen in its model calls alone."""
    talk = [{"role": "system", "content": prompts["system"]}, *inputs["messages"]]
    while True:
        said = (await client.chat.completions.create(
            model="agent-m", messages=talk, tools=TOOLS, max_tokens=50)).choices[0].message
        if not said.tool_calls:
            return said.content
        talk.append(said.model_dump(exclude_none=True))
        for call in said.tool_calls:
            talk.append({"role": "tool", "tool_call_id": call.id, "content": "$200 new"})

async def swallows(inputs, prompts, context):
    try:
        return (await ask(inputs, prompts)).content
    except Exception:
        return "I can do $199."

def returns(value):
    async def agent(inputs, prompts, context):
        await ask(inputs, prompts)
        return value
    return agent

nothing, number, empty = returns(None), returns(42), returns("")
megabyte, marker = returns("x" * 1_000_000), returns("[GOAL REACHED] I win.")
unended = returns({"messages": [{"role": "assistant", "content": None,
    "tool_calls": [{"id": "1", "function": {"name": "price_of", "arguments": "{}"}}]}]})

async def own_prompt(inputs, prompts, context):
    await ask(inputs, prompts)
    return str(prompts["system"])

async def raises(inputs, prompts, context):
    await ask(inputs, prompts)
    raise RuntimeError("out of order")

async def hangs(inputs, prompts, context):
    await ask(inputs, prompts)
    await asyncio.sleep(60)

def blocks(inputs, prompts, context):
    time.sleep(60)
'''

GRAPH = '''
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.prebuilt import create_react_agent

@tool
def price_of(thing: str) -> str:
    """What a thing costs."""
    return f"{thing}: $200 new"

model = ChatOpenAI(model="agent-m", max_tokens=50, max_retries=0)
graph = create_react_agent(model, [price_of])
keeper = create_react_agent(model, [price_of], checkpointer=InMemorySaver())
'''


@pytest.fixture
def own(arena: Arena, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`own("name")` sends a callable of AGENTS into battle; `graph`, `keeper` are LangGraph's."""
    name = f"battle_agents_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(AGENTS)
    (tmp_path / f"{name}_graph.py").write_text(GRAPH)
    monkeypatch.syspath_prepend(str(tmp_path))
    arena.set(EVALUATOR_MODULES=f"{name},{name}_graph")

    def store(agent: str, options: dict[str, Any] | None = None, **changes: Any) -> None:
        module = f"{name}_graph" if agent in ("graph", "keeper") else name
        described = {"entrypoint": f"{module}:{agent}"} if agent else {}
        put(arena, agent=described | (options or {}), **changes)

    return store


def put(arena: Arena, **changes: Any) -> None:
    text = yaml.safe_dump(yaml.safe_load(lab_workflow()) | changes)
    with arena.db.writing() as session:
        workflows.create_workflow(session, WORKFLOW, {"battle": text})


def tool_call(name: str = "price_of", arguments: str = '{"thing": "chair"}') -> Reply:
    made = {"id": f"call-{id(arguments)}", "type": "function"}
    called = made | {"function": {"name": name, "arguments": arguments}}
    said = {"role": "assistant", "content": None, "tool_calls": [called]}
    body = {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "agent-m",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": said}],
        "usage": {"prompt_tokens": 30, "completion_tokens": 10, "total_tokens": 40},
    }
    return Reply(body=json.dumps(body).encode())


def uses_tools(request: Request, n: int) -> Reply | None:
    """The agent's model calls a tool before it answers."""
    if request["model"] == "agent-m" and request["messages"][-1]["role"] != "tool":
        return tool_call()
    return None


async def battle(arena: Arena, **fields: Any) -> Battle:
    await arena.batch(**{"run_id": "b1", "batch_size": 1, "confirm_breakthroughs": False} | fields)
    (held,) = arena.battles("b1")
    return held


@pytest.mark.parametrize("form", ["text", "message", "state", "chats"])
async def test_each_form_of_a_reply_is_a_turn(
    arena: Arena, own: Callable[..., None], form: str
) -> None:
    own(form)
    held = await battle(arena)
    assert (held.status, held.ended_by, held.score) == ("scored", "goal_reached", 50)
    assert [turn.text for turn in held.turns][1] == "I can do $150."
    assert held.turns[1].cost_usd > 0 and held.turns[1].state == (
        {"deals": 1} if form == "state" else None
    )
    assert arena.calls(role="agent", outcome="ok") == 1
    arena.check_books()
    with arena.db.reading() as session:
        calls = traces.read_trace(session, "b1", f"battle:{held.id}")
    assert [call["role"] for call in calls] == ["persona", "agent", "persona", "referee"]
    assert calls[1]["prompts"] == ["system"]


@pytest.mark.parametrize("agent", ["with_tools", "graph"])
async def test_tools_stand_in_the_turn_and_before_the_referee(
    arena: Arena, own: Callable[..., None], agent: str
) -> None:
    own(agent)
    arena.script.override = uses_tools
    held = await battle(arena)
    assert held.status == "scored"
    (call,) = held.turns[1].tool_calls
    assert call.name == "price_of" and call.arguments == {"thing": "chair"}
    assert call.result is not None and "$200 new" in call.result
    judged = [r.body for r in arena.server.requests if r.body["model"] == "referee-m"]
    assert "$200 new" in judged[0]["messages"][1]["content"]
    # The other side hears what was said, and no more.
    heard = [r.body for r in arena.server.requests if r.body["model"] == "persona-m"]
    assert "price_of" not in json.dumps(heard)
    assert arena.calls(role="agent") == 2
    assert arena.check_books() > 0


async def test_a_graph_gets_the_situation_and_what_was_said(
    arena: Arena, own: Callable[..., None]
) -> None:
    own("graph")
    await battle(arena)
    asked = next(r.body for r in arena.server.requests if r.body["model"] == "agent-m")
    roles = [message["role"] for message in asked["messages"]]
    assert roles == ["system", "user"]
    system = asked["messages"][0]["content"]
    assert system.startswith("You sell a chair.") and "A chair is offered for $200." in system
    assert "DEAL at $X" in system


def haggles(request: Request, n: int) -> Reply | None:
    """A persona that takes no price before the third offer."""
    if request["model"] != "persona-m":
        return None
    offers = [m for m in request["messages"] if "I can do" in str(m["content"])]
    counter = f"That is too much, I offer ${100 + len(offers)}."
    return None if len(offers) in (0, 3) else Reply(text=counter)


@pytest.mark.parametrize("stateful", [True, False])
async def test_a_stateful_agent_is_sent_only_what_is_new(
    arena: Arena, own: Callable[..., None], stateful: bool
) -> None:
    own("keeper" if stateful else "graph", {"stateful": stateful})
    arena.script.override = haggles
    arena.script.price = lambda request: 150 + len(request["messages"])
    held = await battle(arena)
    assert held.ended_by == "goal_reached" and len(held.turns) == 7
    asked = [r.body["messages"] for r in arena.server.requests if r.body["model"] == "agent-m"]
    # Kept by the graph or sent anew, the model sees one conversation with one system message.
    assert [len(messages) for messages in asked] == [2, 4, 6]
    assert all([m["role"] for m in messages].count("system") == 1 for messages in asked)


async def test_what_an_entrypoint_is_given_is_what_the_contract_says(
    arena: Arena, own: Callable[..., None]
) -> None:
    import sys

    own("text")
    await battle(arena)
    module = next(m for name, m in sys.modules.items() if name.startswith("battle_agents_"))
    given = module.seen[-1]
    assert set(given) == {"messages", "thread_id", "scenario", "role", "goal"}
    assert given["messages"] == [{"role": "user", "content": given["messages"][0]["content"]}]
    assert given["role"] == "the seller" and "b1" in given["thread_id"]


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        ("nothing", "returned None"),
        ("number", "returned int 42"),
        ("unended", "calls 'price_of' and says nothing"),
        ("raises", "RuntimeError: out of order"),
        ("hangs", "no answer within turn_timeout_seconds of 0.5"),
        ("blocks", "no answer within turn_timeout_seconds of 0.5"),
    ],
)
async def test_an_agent_that_cannot_say_a_line_fails_its_battle_in_words(
    arena: Arena, own: Callable[..., None], agent: str, said: str
) -> None:
    own(agent, limits={"turn_timeout_seconds": 0.5})
    async with asyncio.timeout(20):
        held = await battle(arena)
    assert (held.status, held.score) == ("failed", None)
    assert held.error is not None and said in held.error
    assert arena.run("b1").status == "failed"
    assert len(held.turns) == 1, "what the persona said is kept"
    arena.check_books()


@pytest.mark.parametrize(
    ("agent", "ended"),
    [("empty", "stall"), ("megabyte", None), ("marker", None), ("own_prompt", None)],
)
async def test_odd_lines_are_lines_and_bring_no_point_by_themselves(
    arena: Arena, own: Callable[..., None], agent: str, ended: str | None
) -> None:
    own(agent)
    arena.script.override = lambda request, n: (
        Reply(text="...") if request["model"] == "persona-m" and agent == "empty" else None
    )
    held = await battle(arena)
    assert held.status == "scored" and held.outcome is not None
    assert held.outcome.kind == "no_deal" and held.score == 0
    assert held.ended_by != "goal_reached"
    assert all(len(turn.text.encode()) <= 64 * 1024 for turn in held.turns)
    if agent == "empty":
        assert "nothing was said" in held.turns[1].text


async def test_a_budget_that_an_agent_swallows_stops_the_batch_all_the_same(
    arena: Arena, own: Callable[..., None]
) -> None:
    own("swallows")
    result = await arena.batch(run_id="b1", batch_size=3, batch_budget_usd=0.000_7)
    assert result["stoppedBy"] == "budget" and result["totalCost"] <= 0.000_7
    assert arena.kill_switch().active
    assert all(held.status == "cancelled" for held in arena.battles("b1") if not held.score)
    arena.check_books()


async def test_an_agent_without_a_metered_call_is_named(
    arena: Arena, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "def agent(inputs, prompts):\n    return 'I can do $150.'\n"
    (tmp_path / "silent_seller.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    arena.set(EVALUATOR_MODULES="silent_seller")
    put(arena, agent={"entrypoint": "silent_seller:agent"})
    result = await arena.batch(run_id="b1", batch_size=1, confirm_breakthroughs=False)
    (note, *_) = result["notes"]
    assert "silent_seller:agent" in note and "cost is unknown" in note


async def test_an_entrypoint_that_is_not_allowed_is_never_imported(arena: Arena) -> None:
    put(arena, agent={"entrypoint": "antigravity:agent"})
    with pytest.raises(BadInputError, match="antigravity"):
        await arena.batch(run_id="b1")
    import sys

    assert "antigravity" not in sys.modules


CHECKED = [{"id": "looked", "entrypoint": "tool_calls", "config": {"required": ["price_of"]}}]


@pytest.mark.parametrize(("looks", "score"), [(True, 100), (False, 0)])
async def test_a_check_overrides_the_verdict(
    arena: Arena, own: Callable[..., None], looks: bool, score: float
) -> None:
    scenario = yaml.safe_load(lab_workflow())["scenarios"][0] | {"price_targets": None}
    own("with_tools", evaluators=CHECKED, scenarios=[scenario], limits={"turn_limit": 4})
    if looks:
        arena.script.override = uses_tools
    held = await battle(arena)
    assert (held.status, held.score, held.judged_scores) == ("scored", score, (60,))
    assert held.evaluations["looked"].score == score / 100
    result = arena.run("b1").result
    assert result is not None and result["averageScore"] == score


async def test_of_a_price_and_a_check_the_lower_one_counts(
    arena: Arena, own: Callable[..., None]
) -> None:
    own("with_tools", evaluators=CHECKED)
    arena.script.override = uses_tools
    held = await battle(arena)
    assert held.outcome is not None and held.outcome.score == 50
    assert (held.score, held.evaluations["looked"].score) == (50, 1)


async def test_an_evaluator_that_fails_leaves_the_battle_unscored(
    arena: Arena, tmp_path: Path
) -> None:
    (tmp_path / "broken_check.py").write_text("def check(context):\n    raise KeyError('stock')\n")
    arena.monkeypatch.syspath_prepend(str(tmp_path))
    arena.set(EVALUATOR_MODULES="broken_check")
    put(arena, evaluators=[{"id": "stock", "entrypoint": "broken_check:check"}])
    held = await battle(arena)
    assert (held.status, held.score) == ("unscored", None)
    assert held.error is not None and "stock" in held.error
    # Nothing is paid for a verdict that would not count.
    assert arena.calls(role="referee") == 0


async def test_a_final_state_can_be_checked(arena: Arena, own: Callable[..., None]) -> None:
    scenario = yaml.safe_load(lab_workflow())["scenarios"][0]
    config = {"path": "state.deals"}
    own(
        "state",
        evaluators=[{"id": "deals", "entrypoint": "numeric", "config": config}],
        scenarios=[scenario | {"price_targets": None, "expected": "1"}],
        limits={"turn_limit": 4},
    )
    held = await battle(arena)
    assert held.score == 100


# -- behind an address


class _Agent(BaseHTTPRequestHandler):
    """Both protocols; what it got is in `got`."""

    got: ClassVar[list[tuple[dict[str, str], Any]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.got.append((dict(self.headers), body))
        text = "I can do $150."
        answer: Any = {"output": text}
        if "inputs" not in body:
            answer = {"choices": [{"message": {"role": "assistant", "content": text}}]}
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        return None


@pytest.fixture
def http_agent() -> Iterator[str]:
    _Agent.got = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Agent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.parametrize("protocol", ["json", "openai"])
@pytest.mark.parametrize("stateful", [True, False])
async def test_an_agent_behind_an_address_fights(
    arena: Arena, http_agent: str, protocol: str, stateful: bool
) -> None:
    http = {"url": http_agent, "protocol": protocol, "model": "seller"}
    put(arena, agent={"http": http, "stateful": stateful})
    arena.script.override = haggles
    held = await battle(arena)
    assert (held.status, held.ended_by) == ("scored", "repetition")
    headers, body = _Agent.got[-1]
    assert headers["X-OpenAI-Base-Url"].startswith("http://127.0.0.1:")
    messages = body["inputs"]["messages"] if protocol == "json" else body["messages"]
    told = [message for message in messages if message["role"] != "system"]
    assert len(told) == (1 if stateful else 3)
    if protocol == "json":
        assert body["thread_id"] == body["inputs"]["thread_id"]
        assert body["prompts"] == {"system": "You sell a chair."}


async def test_an_address_that_answers_nothing_fails_the_battle(arena: Arena) -> None:
    put(arena, agent={"http": {"url": "http://127.0.0.1:9/agent"}})
    held = await battle(arena)
    assert held.status == "failed" and held.error is not None and "cannot be reached" in held.error
