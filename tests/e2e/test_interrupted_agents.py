"""An agent of several calls whose process is killed pays for what it was answered once."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL
from sqlalchemy import text

from cornerman.storage.database import Database
from tests.support.forked_trainings import (
    ROOT,
    ForkedTrainings,
    ends_within,
    kill_and_count_left,
)
from tests.support.llm_standin import LLMStandin, Reply
from tests.support.training import MODEL_KEY, request_of

CASES, CALLS, AT_ONCE = 3, 5, 3
AGENT = """
from openai import AsyncOpenAI

client = AsyncOpenAI(max_retries=0)

async def agent(inputs, prompts, context):
    said = [{"role": "system", "content": prompts["system"]}]
    for step in range(5):
        said.append({"role": "user", "content": f"case {inputs['need']} step {step}"})
        answer = await client.chat.completions.create(model="gpt-4o-mini", messages=said,
                                                      max_tokens=20)
        said.append({"role": "assistant", "content": answer.choices[0].message.content})
    return said[-1]["content"]
"""


@pytest.fixture
def trainings(prefect_harness: None, tmp_path: Path) -> Iterator[ForkedTrainings]:
    env = {"PREFECT_API_URL": str(PREFECT_API_URL.value()), "PREFECT_LOGGING_LEVEL": "CRITICAL"}
    env["PYTHONPATH"] = f"{ROOT}:{tmp_path}"
    with ForkedTrainings(**env) as forked:
        yield forked


async def test_a_killed_agents_answers_are_given_again_and_not_paid_twice(
    trainings: ForkedTrainings, sqlite_db: Database, cornerman_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "five_calls.py").write_text(AGENT)
    request = request_of(CASES, graph_config={"entrypoint": "five_calls:agent"})
    request["optimizer"]["max_concurrency"] = AT_ONCE
    async with LLMStandin(lambda asked, n: Reply(text=f"said {n}"), latency=0.1) as server:
        env = {
            "CORNERMAN_HOME": str(cornerman_home),
            "USE_LOCAL_DB": "true",
            "LOCAL_DB_URL": sqlite_db.engine.url.render_as_string(hide_password=False),
            "OPENAI_BASE_URL": server.base_url,
            "OPENAI_API_KEY": MODEL_KEY,
            "EVALUATOR_MODULES": "five_calls",
        }
        process = trainings.start(request, "r1", **env)
        give_up = time.monotonic() + 60
        while server.total < 3 * AT_ONCE:
            assert time.monotonic() < give_up
            await asyncio.sleep(0.01)
        await asyncio.to_thread(kill_and_count_left, process)
        with sqlite_db.reading() as session:
            settled = session.execute(
                text("SELECT COUNT(*) FROM llm_calls WHERE status = 'settled'")
            ).scalar_one()
        again = trainings.start(request, "r1", **env)
        assert await asyncio.to_thread(ends_within, again, 60)
    asked = Counter(str(recorded.body["messages"]) for recorded in server.requests)
    twice = sum(count - 1 for count in asked.values())
    steps = Counter(recorded.body["messages"][-1]["content"] for recorded in server.requests)
    assert settled >= AT_ONCE, "the kill came before anything was answered"
    # Only what was in flight at the kill is asked a second time.
    assert len(steps) == CASES * CALLS and twice <= AT_ONCE
    assert server.total <= CASES * CALLS + AT_ONCE
    with sqlite_db.reading() as session:
        (status,) = session.execute(text("SELECT status FROM runs")).one()
        kept = session.execute(text("SELECT COUNT(*) FROM call_traces WHERE has_replay")).scalar()
    assert status == "completed" and kept == 0
