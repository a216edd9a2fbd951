"""Agents and evaluators as users write them, good and bad."""

from __future__ import annotations

import asyncio
import threading
import time
from types import SimpleNamespace
from typing import Any

LET_GO = threading.Event()
SEEN: list[Any] = []


def right() -> str:
    return "4"


def sync_agent(inputs: Any) -> str:
    return f"sync {inputs['question']}"


async def async_agent(inputs: Any, prompts: Any) -> str:
    return f"async {prompts['system']}"


async def with_context(inputs: Any, prompts: Any, context: Any) -> str:
    return f"{context.run_id} {context.candidate_id} {context.case_id} {context.epoch}"


def any_arguments(*args: Any) -> int:
    return len(args)


def optional_more(inputs: Any, prompts: Any, context: Any, temperature: float = 0.5) -> float:
    return temperature


def needs_more(inputs: Any, prompts: Any, context: Any, database: Any) -> None: ...


def needs_keyword(inputs: Any, *, database: Any) -> None: ...


class MadeAgent:
    async def __call__(self, inputs: Any, prompts: Any) -> str:
        return "made"


class NeedsArguments:
    def __init__(self, database: Any) -> None: ...


class Runnable:
    async def ainvoke(self, inputs: Any, config: Any = None) -> Any:
        configurable = config["configurable"]
        return {"thread": configurable["thread_id"], "prompts": configurable["prompts"]}


graph = Runnable()
number = 7


async def asks_the_model(inputs: Any, prompts: Any, context: Any) -> str:
    messages = [{"role": "user", "content": inputs["question"]}]
    return await context.chat(messages, prompt=prompts["system"])


async def spoils_everything(inputs: Any, prompts: Any, context: Any) -> str:
    SEEN.append(dict(inputs))
    inputs["question"] = "spoilt"
    inputs["more"] = True
    prompts.clear()
    return "4"


def returns_a_list(inputs: Any) -> list[int]:
    return [1, 2]


async def sleeps(inputs: Any) -> str:
    await asyncio.sleep(30)
    return "4"


def blocks(inputs: Any) -> str:
    LET_GO.wait(30)
    return "4"


async def ignores_cancellation(inputs: Any, prompts: Any, context: Any) -> str:
    while not LET_GO.is_set():
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            continue
    try:
        SEEN.append(await context.chat([{"role": "user", "content": "late"}]))
    except Exception as error:  # noqa: BLE001 - the test looks at it
        SEEN.append(error)
    return "4"


async def fails(inputs: Any) -> None:
    raise ValueError("the agent's own fault")


async def times_out_by_itself(inputs: Any) -> None:
    raise TimeoutError("the agent's own time-out")


def leaves(inputs: Any) -> None:
    raise SystemExit(3)


# Evaluators


def half(context: Any) -> float:
    return 0.5


def raising_evaluator(context: Any) -> float:
    raise KeyError("no such rubric")


async def slow_evaluator(context: Any) -> float:
    await asyncio.sleep(30)
    return 1.0


def blocking_evaluator(context: Any) -> float:
    time.sleep(0.3)
    return 1.0


def spoiling_evaluator(context: Any) -> bool:
    context.output.append("spoilt")
    context.inputs.clear()
    context.metadata["hard"].append("spoilt")
    return True


def looking_evaluator(context: Any) -> Any:
    SEEN.append((context.inputs, context.output, context.metadata, context.expected_output))
    return SimpleNamespace(value=0.25, reason="looked")


def wrong_evaluator(context: Any) -> str:
    return "great"
