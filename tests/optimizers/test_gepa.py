"""The gepa adapter: its traps are closed."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from cornerman.domain.errors import BadInputError
from cornerman.domain.training.candidates import Candidate, Prompts
from cornerman.domain.training.cases import Case, CaseResult
from cornerman.domain.training.options import OptimizerOptions
from cornerman.optimizers.gepa import CaseLoader, GepaOptimizer
from tests.bench.memory_lab import MemoryLab, OutOfCallsError
from tests.optimizers.scripted import (
    SkillWorld,
    lab_of,
    no_answer,
    one_prompt,
    skill_cases,
    skill_split,
)


def searching() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "cornerman-search"]


async def no_thread_is_left() -> bool:
    for _ in range(200):
        if not searching():
            return True
        await asyncio.sleep(0.01)
    return False


def test_ids_are_unique_across_splits() -> None:
    cases = skill_cases(0, 3)
    train, validation = CaseLoader("train", cases), CaseLoader("validation", cases)
    assert not set(train.all_ids()) & set(validation.all_ids())
    assert train.fetch(["train:case-1"]) == [cases[1]]
    assert len(train) == 3


async def test_one_iteration_a_round_with_ids_of_that_round() -> None:
    lab = lab_of(SkillWorld())
    await lab.run(GepaOptimizer(), epochs=10)
    assert len(lab.rounds) == 9
    assert all(candidate.id == f"c{candidate.epoch}-1" for candidate in lab.proposed)
    assert len({candidate.epoch for candidate in lab.proposed}) == len(lab.proposed) > 3


async def test_parents_are_the_candidates_that_were_rewritten() -> None:
    lab = lab_of(SkillWorld())
    await lab.run(GepaOptimizer(), epochs=12)
    texts = {member.id: member.prompts["system"].text for member in lab.pool}
    for child in lab.proposed:
        assert child.prompts["system"].text.startswith(texts[child.parent_id or ""])


async def test_a_stop_in_reflection_ends_the_search_though_gepa_would_go_on() -> None:
    world = SkillWorld()
    lab = lab_of(world, max_calls=40)
    await lab.score_start()
    optimizer = GepaOptimizer()
    with pytest.raises(OutOfCallsError):
        await lab.next_round(optimizer)
    assert world.asked == []
    assert await no_thread_is_left()


async def test_any_other_error_of_a_case_reaches_the_run() -> None:
    class BrokenLab(MemoryLab):
        async def evaluate(self, candidate: Candidate, cases: Sequence[Case]) -> list[CaseResult]:
            if candidate.id != "c0":
                raise BadInputError("the graph is broken", field="graph_config")
            return await super().evaluate(candidate, cases)

    lab = BrokenLab(SkillWorld(), skill_split(), one_prompt(), OptimizerOptions())
    with pytest.raises(BadInputError, match="the graph is broken"):
        await lab.run(GepaOptimizer(), epochs=5)
    assert await no_thread_is_left()


async def test_no_answer_is_asked_for_once_and_told() -> None:
    world = SkillWorld(reply=no_answer)
    lab = lab_of(world)
    await lab.run(GepaOptimizer(), epochs=2)
    assert len(world.asked) == 1
    assert lab.rounds[0].reason == "no rewrite: nothing came"


async def test_refused_rewrites_cost_no_case() -> None:
    lab = lab_of(SkillWorld(reply="```\n```"))
    await lab.run(GepaOptimizer(), epochs=2)
    assert lab.calls == 41
    assert lab.rounds[0].reason == "1 rewrite refused: the rewrite is empty"


async def test_cancelling_a_round_ends_the_thread() -> None:
    class SlowLab(MemoryLab):
        async def rewrite(self, key: str, messages: Sequence[Mapping[str, str]]) -> str:
            await asyncio.sleep(60)
            return ""

    lab = SlowLab(SkillWorld(), skill_split(), one_prompt(), OptimizerOptions())
    work = asyncio.create_task(lab.run(GepaOptimizer(), epochs=3))
    await asyncio.sleep(0.3)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert await no_thread_is_left()


async def test_the_thread_ends_with_its_optimizer() -> None:
    optimizer = GepaOptimizer()
    lab = lab_of(SkillWorld())
    await lab.run(optimizer, epochs=3)
    assert len(searching()) == 1
    del optimizer
    gc.collect()
    assert await no_thread_is_left()


async def test_cases_run_in_the_callers_context() -> None:
    flow = contextvars.ContextVar("flow", default="none")
    seen: set[str] = set()

    class SeeingWorld(SkillWorld):
        def answer(self, prompts: Prompts, case: Case, seed: int) -> str:
            seen.add(flow.get())
            return super().answer(prompts, case, seed)

    flow.set("this run")
    await lab_of(SeeingWorld()).run(GepaOptimizer(), epochs=3)
    assert seen == {"this run"}


async def test_writes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    await lab_of(SkillWorld()).run(GepaOptimizer(), epochs=6)
    assert list(tmp_path.iterdir()) == []


async def test_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    await lab_of(SkillWorld()).run(GepaOptimizer(), epochs=6)
    assert capsys.readouterr() == ("", "")
