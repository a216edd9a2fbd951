"""Which prompt a round's proposals rewrite, with traces and without."""

from __future__ import annotations

from collections import Counter

import pytest

from cornerman.domain.datasets.load import DatasetSplit
from cornerman.domain.training.options import OptimizerOptions
from cornerman.optimizers.feedback import with_text
from cornerman.optimizers.lessons import assign_lessons, mended
from cornerman.optimizers.proposals import all_of
from cornerman.optimizers.reflective import Reflective
from tests.bench.desk_world import NAMES, DeskWorld, desk_cases, desk_prompts
from tests.bench.memory_lab import MemoryLab


def desk_lab(*, with_traces: bool = True, seed: int = 0) -> MemoryLab:
    cases = desk_cases()
    split = DatasetSplit(cases[:24], cases[24:41], cases[41:])
    options = OptimizerOptions(seed=seed)
    return MemoryLab(
        DeskWorld(seed, noisy=False), split, desk_prompts(), options, with_traces=with_traces
    )


async def test_each_proposal_rewrites_what_its_cases_point_to() -> None:
    lab = desk_lab()
    await lab.score_start()
    failing = [case for case in lab.train if any(case.metadata["needs"].values())]
    batches = [failing[n : n + 3] for n in range(0, 18, 3)]
    lessons = await assign_lessons(lab, lab.start, batches, 2)
    assert len(lessons) == 6 and len({lesson.name for lesson in lessons}) > 1
    hits = Counter(
        bool(case.metadata["needs"][lesson.name]) for lesson in lessons for case in lesson.cases
    )
    assert hits[True] > 2 * hits[False]
    assert all(lesson.why for lesson in lessons)
    assert all(set(lesson.steps) == {case.id for case in lesson.cases} for lesson in lessons)


async def test_without_traces_the_prompts_take_turns() -> None:
    lab = desk_lab(with_traces=False)
    await lab.score_start()
    batches = [list(lab.train[n : n + 3]) for n in range(0, 18, 3)]
    lessons = await assign_lessons(lab, lab.start, batches, 2)
    assert Counter(lesson.name for lesson in lessons) == dict.fromkeys(NAMES, 2)
    assert [lesson.cases for lesson in lessons] == batches
    assert not any(lesson.why for lesson in lessons)


async def test_a_case_that_fails_elsewhere_now_was_mended_here() -> None:
    lab = desk_lab()
    await lab.score_start()
    both = [
        case
        for case in desk_cases()
        if case.metadata["needs"]["plan"] and case.metadata["needs"]["write"]
    ][:3]
    drawn = [await assign_lessons(lab, lab.start, [both], epoch) for epoch in range(2, 40)]
    lesson = next(one for lessons in drawn for one in lessons if one.name == "plan")
    rules = [case.metadata["needs"]["plan"][0] for case in lesson.cases]
    text = f"plan keeps these rules: {', '.join(rules)}."
    prompts = with_text(lab.start.prompts, "plan", text)
    child = lab.propose(parent=lab.start, prompts=prompts, origin="test")
    before = await lab.evaluate(lab.start, lesson.cases)
    after = await lab.evaluate(child, lesson.cases)
    assert [result.score for result in after] == [0.0] * len(after), "they still lack another rule"
    assert await mended(lab, lesson, before, after) == len(lesson.cases)
    assert await mended(lab, lesson, before, before) == 0


async def test_the_report_says_why_a_prompt_was_rewritten() -> None:
    lab = desk_lab()
    await lab.run(Reflective(), 3)
    origins = [candidate.origin for candidate in lab.proposed]
    assert any("called wrongly" in origin or "the last step" in origin for origin in origins)
    reasons = [decision.reason for decision in lab.decisions]
    assert any("merged into" in reason for reason in reasons)


@pytest.mark.parametrize("with_traces", [True, False])
async def test_a_run_that_goes_again_goes_the_same_way(with_traces: bool) -> None:
    labs = [desk_lab(with_traces=with_traces, seed=3) for _ in range(2)]
    await all_of(lab.run(Reflective(), 4) for lab in labs)
    first, second = ([(d.candidate, d.accepted, d.reason) for d in lab.decisions] for lab in labs)
    assert first == second
