"""What every strategy must do, whichever it is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from cornerman.domain.datasets.load import DatasetSplit
from cornerman.domain.training.candidates import Prompt
from cornerman.domain.training.optimizer import Optimizer
from cornerman.optimizers.gepa import GepaOptimizer
from cornerman.optimizers.reflective import Reflective
from cornerman.optimizers.textual_gradient import TextualGradient
from tests.bench.memory_lab import OutOfCallsError
from tests.optimizers.scripted import SkillWorld, lab_of, no_answer, path_of, skill_cases

Make = Callable[[], Optimizer]
every_strategy = pytest.mark.parametrize("make", [Reflective, TextualGradient, GepaOptimizer])


@every_strategy
async def test_finds_better_prompts(make: Make) -> None:
    lab = lab_of(SkillWorld())
    await lab.run(make(), epochs=12)
    best = max(lab.validation_score(candidate) or 0 for candidate in lab.pool)
    assert best >= 3 * (lab.validation_score(lab.start) or 0)


@every_strategy
async def test_goes_the_same_way_when_run_again(make: Make) -> None:
    first, again = lab_of(SkillWorld(noise=0.1)), lab_of(SkillWorld(noise=0.1))
    await first.run(make(), epochs=8)
    await again.run(make(), epochs=8)
    assert path_of(first) == path_of(again)
    assert [r.reason for r in first.rounds] == [r.reason for r in again.rounds]


@every_strategy
@pytest.mark.parametrize("shuffle", [1, 2, 3])
async def test_order_of_completion_changes_nothing(make: Make, shuffle: int) -> None:
    ordered = lab_of(SkillWorld(noise=0.1))
    shuffled = lab_of(SkillWorld(noise=0.1), shuffle=shuffle)
    await ordered.run(make(), epochs=6)
    await shuffled.run(make(), epochs=6)
    assert path_of(ordered) == path_of(shuffled)


@every_strategy
async def test_another_seed_may_go_another_way(make: Make) -> None:
    paths: list[object] = []
    for seed in range(4):
        lab = lab_of(SkillWorld(noise=0.1), seed=seed)
        await lab.run(make(), epochs=5)
        paths.append(path_of(lab))
    assert any(path != paths[0] for path in paths)


@every_strategy
@pytest.mark.parametrize("calls", range(40, 64, 3))
async def test_a_stop_passes_through_wherever_it_comes(make: Make, calls: int) -> None:
    lab = lab_of(SkillWorld(), max_calls=calls)
    with pytest.raises(OutOfCallsError):
        await lab.run(make(), epochs=50)
    assert lab.calls == calls


@every_strategy
async def test_what_is_accepted_has_been_validated_in_full(make: Make) -> None:
    lab = lab_of(SkillWorld(noise=0.1))
    await lab.run(make(), epochs=8)
    assert all(lab.validation_score(candidate) is not None for candidate in lab.pool)


@every_strategy
async def test_each_proposed_candidate_is_decided_once(make: Make) -> None:
    lab = lab_of(SkillWorld(noise=0.1))
    await lab.run(make(), epochs=8)
    decided = [decision.candidate.id for decision in lab.decisions]
    assert sorted(decided) == sorted(["c0", *(candidate.id for candidate in lab.proposed)])


@every_strategy
async def test_rewrites_both_trainable_prompts_and_no_other(make: Make) -> None:
    prompts = {
        "plan": Prompt(text="Learn to add.", requires_grad=True),
        "rules": Prompt(text="Be kind."),
        "work": Prompt(text="Work well.", requires_grad=True),
    }
    lab = lab_of(SkillWorld(), prompts)
    await lab.run(make(), epochs=12)
    changed = {
        name
        for candidate in lab.pool
        for name, prompt in candidate.prompts.items()
        if prompt.text != prompts[name].text
    }
    assert changed == {"plan", "work"}
    assert all(list(candidate.prompts) == list(prompts) for candidate in lab.proposed)


@every_strategy
async def test_goes_on_when_the_model_gives_no_answer(make: Make) -> None:
    world = SkillWorld(reply=no_answer)
    lab = lab_of(world)
    await lab.run(make(), epochs=3)
    assert [outcome.accepted for outcome in lab.rounds] == [False, False]
    assert any(word in lab.rounds[0].reason for word in ("no usable answer", "nothing came"))
    assert list(lab.pool) == [lab.start]


@every_strategy
async def test_a_single_case_is_enough(make: Make) -> None:
    case = skill_cases(1, 1)
    lab = lab_of(SkillWorld(), split=DatasetSplit(case, case, ()), proposals=1)
    await lab.run(make(), epochs=3)
    assert lab.validation_score(lab.pool[-1]) == 1.0


def test_the_interpreters_hash_seed_changes_nothing() -> None:
    code = (
        "import asyncio, hashlib\n"
        "from cornerman.optimizers.gepa import GepaOptimizer\n"
        "from cornerman.optimizers.reflective import Reflective\n"
        "from tests.optimizers.scripted import SkillWorld, lab_of, path_of\n"
        "for make in (GepaOptimizer, Reflective):\n"
        "    lab = lab_of(SkillWorld(noise=0.1))\n"
        "    asyncio.run(lab.run(make(), epochs=8))\n"
        "    print(hashlib.sha256(repr(path_of(lab)).encode()).hexdigest())\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
