"""Users' evaluators and agents: every accepted shape, and what is refused before anything runs."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from cornerman.domain.errors import BadInputError, EntrypointRefusedError, SettingsError
from tests.support.http_standin import HttpReply, HttpStandin
from tests.support.training import CLIMBING_AGENT, World, request_of

EVALUATORS = """
import asyncio
from dataclasses import dataclass

@dataclass
class Verdict:
    value: float
    reason: str = "an object"

RETURNED = {
    "true": True, "false": False, "tenth": 0.1, "one": 1, "verdict": Verdict(0.25),
    "mapping": {"value": 0.75, "reason": "a mapping"}, "bare": {"reason": "no value"},
    "over": 1.5, "nan": float("nan"), "text": "good",
}

def plain(context):
    if context.inputs["returns"] == "raises":
        raise LookupError("no rubric")
    return RETURNED[context.inputs["returns"]]

async def waiting(context):
    await asyncio.sleep(0)
    return plain(context)

class Scorer:
    def __init__(self, factor):
        self.factor = factor

    async def evaluate(self, context):
        assert context.duration_ms >= 0 and context.output == "done"
        return self.factor

class Callable:
    def __call__(self, context):
        return True

def agent(inputs, prompts, context):
    return "done"
"""

GOOD = {"true": 1.0, "false": 0.0, "tenth": 0.1, "one": 1.0, "verdict": 0.25, "mapping": 0.75}
BAD = ("bare", "over", "nan", "text", "raises")


@pytest.fixture
def users(world: World) -> str:
    return world.module(EVALUATORS)


def _request(users: str, returned: list[str], *names: str, **changes: Any) -> dict[str, Any]:
    cases = [{"id": f"{r}-{n}", "inputs": {"returns": r}} for n, r in enumerate(returned)]
    return request_of(
        graph_config={"entrypoint": f"{users}:agent"},
        dataset={"cases": cases, "split": {"train": 0.5, "validation": 0.5, "test": 0}},
        evaluators=[{"id": name, "entrypoint": f"{users}:{name}"} for name in names],
        optimizer={"max_concurrency": 8},
        **changes,
    )


async def test_every_shape_of_verdict_keeps_its_value(world: World, users: str) -> None:
    returned = list(GOOD) * 4 + list(BAD)
    await world.train(_request(users, returned, "plain", "waiting"))
    for payload in world.payloads("training_progress"):
        kind = payload["inputs"]["returns"]
        if kind in GOOD:
            found = payload["evaluations"]
            assert {name: e["score"] for name, e in found.items()} == {
                "plain": GOOD[kind],
                "waiting": GOOD[kind],
            }
            assert found["plain"]["passed"] is (GOOD[kind] >= 0.5)
        else:
            assert (payload["status"], payload["score"]) == ("errored", None)
    by_kind = {p["inputs"]["returns"]: p for p in world.payloads("training_progress")}
    assert by_kind["mapping"]["evaluations"]["plain"]["reason"] == "a mapping"
    assert by_kind["verdict"]["evaluations"]["waiting"]["reason"] == "an object"
    assert "mapping without 'value'" in by_kind["bare"]["error"]["message"]
    assert by_kind["raises"]["error"]["type"] == "LookupError"


async def test_classes_and_weights(world: World, users: str) -> None:
    request = _request(users, ["true"], "plain", "Callable")
    request["evaluators"].append(
        {"id": "half", "entrypoint": f"{users}:Scorer", "config": {"factor": 0.5}, "weight": 2}
    )
    result = await world.train(request)
    assert result["seed_score"] == pytest.approx((1 + 1 + 2 * 0.5) / 4)
    assert result["summary"] == {"plain": 1.0, "Callable": 1.0, "half": 0.5}


async def test_popen_is_refused_and_not_imported(world: World) -> None:
    for field in ("evaluator", "agent"):
        target = "users_that_must_not_load:Popen" if field == "agent" else "subprocess:Popen"
        graph = {"entrypoint": target} if field == "agent" else None
        evaluator = "exact_match" if field == "agent" else target
        with pytest.raises(EntrypointRefusedError, match="not imported"):
            await world.train(request_of(evaluator=evaluator, graph_config=graph))
    assert "users_that_must_not_load" not in sys.modules
    assert world.rows("SELECT * FROM runs") == []


RUNNABLE = """
class Graph:
    def __init__(self):
        self.seen = []

    async def ainvoke(self, inputs, config=None):
        configurable = config["configurable"]
        self.seen.append(configurable["thread_id"])
        return {"answer": configurable["prompts"]["system"], "question": inputs["need"]}

graph = Graph()
"""


@pytest.mark.parametrize("name", ["graph", "Graph"])
async def test_an_object_with_ainvoke_is_an_agent(world: World, name: str) -> None:
    result = await world.train(request_of(2, graph_config=world.agent(RUNNABLE, name)))
    outputs = [line["output"] for line in result["results"]]
    assert outputs == [{"answer": "LEVEL 1", "question": 1}, {"answer": "LEVEL 1", "question": 2}]


async def test_an_agent_reads_prompts_as_text_or_as_they_were_given(world: World) -> None:
    agent = world.agent(
        """
        def agent(inputs, prompts, context):
            system = prompts["system"]
            return [system, system.text, system["text"], system["requires_grad"], context.case_id]
        """
    )
    result = await world.train(request_of(1, graph_config=agent))
    assert result["results"][0]["output"] == ["LEVEL 1"] * 3 + [True, "k0"]


async def test_an_agent_behind_http_gets_its_key_from_the_environment(world: World) -> None:
    world.set(HIRED_AGENT_KEY="hired-0123456789")
    async with HttpStandin(lambda n: HttpReply(body='{"output": "yes"}')) as server:
        headers = {"Authorization": "Bearer ${HIRED_AGENT_KEY}", "X-Team": "support"}
        graph = {"http": {"url": server.url, "headers": headers}}
        result = await world.train(request_of(2, graph_config=graph))
    assert result["seed_score"] == 1.0
    assert server.headers[0]["Authorization"] == "Bearer hired-0123456789"
    stored = world.run().request["graph_config"]["http"]["headers"]
    assert stored == {"Authorization": "Bearer ${HIRED_AGENT_KEY}", "X-Team": "(not stored)"}
    assert "hired-0123456789" not in world.dump()


async def test_a_reference_to_a_missing_variable_is_refused_before_the_run(world: World) -> None:
    graph = {"http": {"url": "http://127.0.0.1:9", "headers": {"X-Key": "${NOBODY_SET_ME}"}}}
    with pytest.raises(SettingsError, match="NOBODY_SET_ME"):
        await world.train(request_of(2, graph_config=graph))
    assert world.rows("SELECT * FROM runs") == []


async def test_model_kwargs_that_no_call_takes_are_refused_before_the_run(world: World) -> None:
    system = {"text": "LEVEL 1", "requires_grad": True, "model_kwargs": {"n": 5}}
    with pytest.raises(BadInputError, match=r"^prompts\.system\.model_kwargs\.n is not allowed"):
        await world.train(request_of(2, prompts={"system": system}))
    assert world.rows("SELECT * FROM runs") == []


async def test_an_agent_that_wants_other_arguments_is_refused(world: World) -> None:
    agent = world.agent("def agent(inputs, prompts, context, budget): ...")
    with pytest.raises(BadInputError, match="the agent needs budget"):
        await world.train(request_of(graph_config=agent))


SECRET = "live-9f8e7d6c5b4a3210"
LEAKING = """
import logging, os

def agent(inputs, prompts, context):
    key = os.environ["VENDOR_API_KEY"]
    logging.getLogger("users").warning("calling with %s", key)
    if inputs["need"] == 1:
        raise ValueError(f"401 for key {key}")
    return {"headers": {key: f"Bearer {key}"}}

def judge(context):
    return {"value": 0.5, "reason": "the key is " + os.environ["VENDOR_API_KEY"]}
"""


async def test_a_key_of_the_environment_reaches_no_row_event_log_or_report(
    world: World, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    world.set(VENDOR_API_KEY=SECRET)
    module = world.module(LEAKING)
    request = request_of(
        6,
        graph_config={"entrypoint": f"{module}:agent"},
        evaluator=f"{module}:judge",
        dataset={"cases": [{"inputs": {"need": n}} for n in range(6)]},
    )
    result = await world.train(request)
    assert result["cases"]["errored"] == 1
    dump = world.dump()
    assert SECRET not in dump and SECRET not in str(result)
    assert "401 for key ***" in dump and "Bearer ***" in dump and "the key is ***" in dump
    assert SECRET not in caplog.text and "calling with ***" in caplog.text
    assert SECRET not in "".join(capfd.readouterr())


async def test_a_key_in_an_error_that_fails_the_run_is_hidden(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    world.set(VENDOR_API_KEY=SECRET)
    module = world.module("import os\nraise RuntimeError(os.environ['VENDOR_API_KEY'])")
    with pytest.raises(BadInputError) as raised:
        await world.train(request_of(evaluator=f"{module}:judge"))
    assert SECRET not in str(raised.value) and "***" in str(raised.value)
    assert SECRET not in "".join(capfd.readouterr())


async def test_prompts_without_requires_grad_and_empty_datasets_are_refused(world: World) -> None:
    from pydantic import ValidationError

    still = {"system": {"text": "LEVEL 1"}}
    for changes, words in (
        ({"prompts": still}, "requires_grad"),
        ({"dataset": {"cases": []}}, "at least one case"),
    ):
        with pytest.raises(ValidationError, match=words):
            await world.train(request_of(**changes))


async def test_a_run_of_a_checkpoint_without_trainable_prompts_is_refused(world: World) -> None:
    request = request_of(graph_config=world.agent(CLIMBING_AGENT))
    del request["prompts"]
    with pytest.raises(BadInputError, match="has no checkpoint"):
        await world.train(request)
