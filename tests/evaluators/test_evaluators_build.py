"""Users' evaluators in every form, what they may return, and how they fail."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cornerman.domain.aio import call_in_thread
from cornerman.domain.errors import (
    BadInputError,
    EntrypointRefusedError,
    KillSwitchActiveError,
    LLMError,
)
from cornerman.domain.training import EvaluatorOptions
from cornerman.domain.training.cases import EvaluationContext
from cornerman.evaluators.base import EvaluatorFailure, build_evaluator, build_evaluators
from cornerman.evaluators.verdicts import failure_of, to_score

CONTEXT = EvaluationContext({"q": "?"}, "the output", "expected", {}, 12.0)
SOURCE = """
import asyncio, functools, threading, time
from dataclasses import dataclass

def plain(context): return context.output == "the output"
async def later(context): await asyncio.sleep(0); return 0.25
def words(context, limit=1): return len(context.output.split()) <= limit
async def words_async(context, *, limit): return len(context.output.split()) <= limit
def whole(context, config): return config.get("value", 0.5)
def anything(context, **config): return config["value"]
def wrapper(context): return later(context)
def slow(context): time.sleep(0.3); return True
def broken(context): raise KeyError("gone")
def asks(context, chat): return chat is not None

class Sync:
    def __init__(self, value=0.5): self.value_given = value
    def evaluate(self, context): return {"value": self.value_given, "reason": "so"}
class Async:
    async def __call__(self, context): return Answer(0.75, "why")
class Options:
    def __init__(self, config): self.config = config
    def __call__(self, context): return self.config["value"]
@dataclass
class Answer:
    value: float
    reason: str
class Fussy:
    def __init__(self, value): raise ValueError(f"not {value}")
class Useless: pass
class Where:
    def __call__(self, context): return threading.current_thread() is threading.main_thread()
class Instant(Where):
    instant = True
instance = Sync(1.0)
partial = functools.partial(words, limit=5)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    name = f"own_evaluators_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def build(module: str, name: str, config: dict[str, Any] | None = None, **more: Any) -> Any:
    spec = EvaluatorOptions(id="e", entrypoint=f"{module}:{name}", config=config or {})
    return build_evaluator(spec, allowed=[module], **more)


@pytest.mark.parametrize(
    ("name", "config", "value", "reason"),
    [
        ("plain", {}, 1.0, None),
        ("later", {}, 0.25, None),
        ("words", {}, 0.0, None),
        ("words", {"limit": 2}, 1.0, None),
        ("words_async", {"limit": 2}, 1.0, None),
        ("whole", {"value": 0.1}, 0.1, None),
        ("whole", {}, 0.5, None),
        ("anything", {"value": 1}, 1.0, None),
        ("wrapper", {}, 0.25, None),
        ("Sync", {}, 0.5, "so"),
        ("Sync", {"value": 0.9}, 0.9, "so"),
        ("Async", {}, 0.75, "why"),
        ("Options", {"value": 0.3}, 0.3, None),
        ("instance", {}, 1.0, "so"),
        ("partial", {}, 1.0, None),
    ],
)
async def test_takes_every_form(
    own: str, name: str, config: dict[str, Any], value: float, reason: str | None
) -> None:
    score = await build(own, name, config)(CONTEXT)
    assert (score.value, score.reason) == (value, reason)


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("words", {"limits": 2}, "unknown limits; .*:words takes limit"),
        ("words_async", {}, "limit is required"),
        ("plain", {"a": 1}, "unknown a; .*:plain takes nothing"),
        ("Sync", {"valu": 1}, "unknown valu"),
        ("Fussy", {"value": 3}, "refused it: ValueError: not 3"),
        ("Useless", {}, r"neither evaluate\(context\) nor __call__\(context\)"),
        ("asks", {}, "asks a model, and none is set here"),
    ],
)
def test_refuses_config_that_does_not_fit(
    own: str, name: str, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInputError, match=message):
        build(own, name, config)


@pytest.mark.parametrize(
    ("returned", "value"),
    [
        (True, 1.0),
        (False, 0.0),
        (0.1, 0.1),
        (1, 1.0),
        ({"value": 0.4}, 0.4),
        ({"value": True, "reason": None}, 1.0),
        (np.float32(0.5), 0.5),
        (np.bool_(True), 1.0),
        (np.int64(1), 1.0),
    ],
)
def test_keeps_a_verdicts_value(returned: Any, value: float) -> None:
    assert to_score("e", returned).value == value


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "returned None of type NoneType"),
        ("0.5", "returned '0.5' of type str"),
        (float("nan"), "not a finite number in 0..1"),
        (float("inf"), "not a finite number in 0..1"),
        (10**400, "not a finite number in 0..1"),
        (1.01, "not a finite number in 0..1"),
        (-0.1, "not a finite number in 0..1"),
        ({"score": 1}, "a mapping without 'value'"),
        ({}, "a mapping without 'value'"),
        ({"value": "high"}, "returned 'high' of type str"),
        ([1], "of type list"),
        (np.array([1.0]), "of type ndarray"),
    ],
)
def test_refuses_what_is_no_verdict(returned: Any, message: str) -> None:
    with pytest.raises(EvaluatorFailure, match=message) as caught:
        to_score("quality", returned)
    assert "quality" in caught.value.message
    assert "a finite number in 0..1" in caught.value.hint


async def test_what_an_evaluator_raises_keeps_its_type_message_and_stack(own: str) -> None:
    with pytest.raises(EvaluatorFailure) as caught:
        await build(own, "broken")(CONTEXT)
    error = caught.value.as_case_error()
    assert error.type == "KeyError"
    assert "gone" in error.message
    assert "in broken" in error.stack
    assert not error.retryable


def test_a_passing_model_error_may_be_retried() -> None:
    assert failure_of("e", LLMError("busy", kind="rate_limited")).retryable
    assert not failure_of("e", LLMError("no", kind="refused")).retryable


async def test_a_stop_passes_through_unchanged() -> None:
    async def chat(messages: list[dict[str, str]], *, json_schema: Any = None) -> str:
        raise KillSwitchActiveError("test")

    spec = EvaluatorOptions(id="e", entrypoint="llm_judge", config={"rubric": "good"})
    with pytest.raises(KillSwitchActiveError):
        await build_evaluator(spec, allowed=[], chat=chat)(CONTEXT)


async def test_a_sync_evaluator_does_not_hold_the_loop(own: str) -> None:
    evaluate = build(own, "slow")
    started = time.perf_counter()
    await asyncio.gather(*(evaluate(CONTEXT) for _ in range(20)))
    assert time.perf_counter() - started < 2


async def test_only_an_instant_evaluator_is_called_where_the_loop_runs(own: str) -> None:
    assert (await build(own, "Where")(CONTEXT)).value == 0.0
    assert (await build(own, "Instant")(CONTEXT)).value == 1.0


async def test_a_hung_call_is_left_behind_at_its_time_out() -> None:
    started = time.perf_counter()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await call_in_thread(time.sleep, 1.0)
    assert time.perf_counter() - started < 0.5


async def test_a_thread_hands_back_what_it_raises() -> None:
    with pytest.raises(ZeroDivisionError):
        await call_in_thread(lambda: 1 / 0)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await call_in_thread(next, iter(()))


def test_checks_all_entrypoints_before_it_imports_one(own: str) -> None:
    specs = [
        EvaluatorOptions(id="a", entrypoint=f"{own}:plain"),
        EvaluatorOptions(id="b", entrypoint="subprocess:Popen"),
    ]
    with pytest.raises(EntrypointRefusedError, match=r"evaluators\.1\.entrypoint"):
        build_evaluators(specs, allowed=[own])
    assert list(build_evaluators(specs[:1], allowed=[own])) == ["a"]
