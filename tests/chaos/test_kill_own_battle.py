"""kill -9 in the middle of a battle of an agent with tools: no answer is paid for twice."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.flows.test_battle_own_agents import put, uses_tools
from tests.support.battle_arena import Arena, Request
from tests.support.llm_standin import Reply

AGENT = """
from openai import AsyncOpenAI

client = AsyncOpenAI(max_retries=0)

async def agent(inputs, prompts, context):
    talk = [{"role": "system", "content": prompts["system"]}, *inputs["messages"]]
    for step in range(4):
        talk.append({"role": "user", "content": f"turn {len(inputs['messages'])} step {step}"})
        said = await client.chat.completions.create(model="agent-m", messages=talk, max_tokens=50)
        talk.append({"role": "assistant", "content": said.choices[0].message.content})
    return talk[-1]["content"]
"""


def keeps_haggling(request: Request, n: int) -> Reply | None:
    """Three turns of the agent, whose price falls; the persona takes the third."""
    if request["model"] != "persona-m":
        return None
    offers = sum("I can do" in str(m["content"]) for m in request["messages"])
    return Reply(text=f"That is too much, I offer ${90 + offers}.") if offers in (1, 2) else None


@pytest.fixture
def fighter(arena: Arena, tmp_path: Path) -> str:
    (tmp_path / "patient_seller.py").write_text(AGENT)
    arena.set(EVALUATOR_MODULES="patient_seller", PYTHONPATH=str(tmp_path))
    arena.script.override = keeps_haggling
    arena.script.price = lambda request: 200 - len(request["messages"])
    arena.server.latency = 0.05
    return "patient_seller:agent"


async def killed_at(arena: Arena, calls: int, run_id: str) -> None:
    process = await arena.process(run_id=run_id, batch_size=1, confirm_breakthroughs=False)
    await arena.until(lambda: arena.calls(role="agent", status="settled") >= calls, seconds=60)
    process.send_signal(signal.SIGKILL)
    await process.wait()


# In its first turn, between two, and in its second.
@pytest.mark.parametrize("calls", [2, 4, 6])
async def test_a_killed_battle_goes_on_and_pays_what_was_in_flight_alone(
    arena: Arena, fighter: str, calls: int
) -> None:
    put(arena, agent={"entrypoint": fighter})
    await killed_at(arena, calls, "b1")
    before = arena.server.total
    again = await arena.process(run_id="b1", batch_size=1, confirm_breakthroughs=False)
    out, err = await again.communicate()
    assert again.returncode == 0, err.decode()[-2000:]
    result = json.loads(out)
    assert result["status"] == "completed" and result["battles"][0]["status"] == "scored"
    asked = Counter(
        json.dumps(r.body["messages"])
        for r in arena.server.requests
        if r.body["model"] == "agent-m"
    )
    assert len(asked) == 3 * 4 and sum(asked.values()) <= 3 * 4 + 1
    assert arena.server.total > before
    arena.check_books()
    (held,) = arena.battles("b1")
    assert [turn.index for turn in held.turns] == list(range(7))


async def test_a_stateful_talk_whose_process_died_ends_in_words(arena: Arena, fighter: str) -> None:
    put(arena, agent={"entrypoint": fighter, "stateful": True})
    await killed_at(arena, 6, "b1")
    again = await arena.process(run_id="b1", batch_size=1, confirm_breakthroughs=False)
    async with asyncio.timeout(60):
        await again.communicate()
    (held,) = arena.battles("b1")
    assert (held.status, held.score) == ("failed", None)
    assert held.error is not None and "remembered" in held.error
    assert len(held.turns) >= 2, "what was said is kept"
    arena.check_books()


async def test_tool_calls_of_an_interrupted_turn_are_seen_all_the_same(
    arena: Arena, tmp_path: Path
) -> None:
    from tests.flows.test_battle_own_agents import AGENTS

    (tmp_path / "tool_seller.py").write_text(AGENTS)
    arena.set(EVALUATOR_MODULES="tool_seller", PYTHONPATH=str(tmp_path))
    put(arena, agent={"entrypoint": "tool_seller:with_tools"})

    def slow(request: Request, n: int) -> Reply | None:
        found = uses_tools(request, n)
        if request["model"] == "agent-m" and found is None:
            return Reply(text="I can do $150.", delay=0.5)
        return found

    arena.script.override = slow
    await killed_at(arena, 1, "b1")
    again = await arena.process(run_id="b1", batch_size=1, confirm_breakthroughs=False)
    _, err = await again.communicate()
    assert again.returncode == 0, err.decode()[-2000:]
    (held,) = arena.battles("b1")
    assert [call.name for call in held.turns[1].tool_calls] == ["price_of"]
