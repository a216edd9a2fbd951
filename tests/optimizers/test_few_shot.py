"""Learning which cases to show: sets, races, and the choice between text and demonstrations."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from cornerman.domain.datasets.load import DatasetSplit
from cornerman.domain.seeds import stream
from cornerman.domain.training.candidates import Demo, Prompt, Prompts, as_text
from cornerman.domain.training.cases import Case, Score
from cornerman.domain.training.optimizer import Optimizer
from cornerman.domain.training.options import OptimizerOptions
from cornerman.domain.training.racing import (
    cannot_be_kept,
    is_hopeless,
    race_cases,
    rungs,
    survivors,
)
from cornerman.optimizers.demos import DemoDraws, demonstrations, demos_in
from cornerman.optimizers.feedback import unshown
from cornerman.optimizers.few_shot import FewShot
from cornerman.optimizers.reflective import Reflective
from tests.bench.memory_lab import MemoryLab

LABELS = ("red", "green", "blue", "grey")


class ShowWorld:
    """A case is answered rightly when one of the demonstrations has its label's key word.

    Args:
        by_text: The prompt's text helps as well: a label that it names is answered.
    """

    def __init__(self, *, by_text: bool = False, says_expected: bool = True) -> None:
        self.by_text = by_text
        self.says_expected = says_expected
        self.answered: list[tuple[str, str]] = []

    def answer(self, prompts: Prompts, case: Case, seed: int) -> str:
        prompt = prompts["system"]
        self.answered.append((as_text(case.inputs), prompt.text))
        label = str(case.expected_output)
        # Half of a label's cases speak of one thing and half of the other.
        shown = {(demo.output, str(demo.inputs["ask"])[-1]) for demo in prompt.demos}
        known = (label, str(case.inputs["ask"])[-1]) in shown
        named = self.by_text and label in prompt.text
        easy = str(case.inputs["ask"]).startswith("easy")
        return label if known or named or easy else "?"

    def score(self, case: Case, output: Any) -> Score:
        return Score(float(output == case.expected_output), f"needs {case.expected_output}")

    def rewrite(self, messages: Sequence[Mapping[str, str]], seed: int) -> str:
        del seed
        text = messages[-1]["content"]
        old = text.split("\n")[1]
        needed = [label for label in LABELS if f"needs {label}" in text and label not in old]
        return f"<rewrite>{old} {needed[0] if needed else 'none'}</rewrite>"


def cases(start: int, count: int, kind: str = "") -> tuple[Case, ...]:
    return tuple(
        Case(f"k{n}", n, {"ask": f"{kind}thing {n} {n // 4 % 2}"}, LABELS[n % 4])
        for n in range(start, start + count)
    )


def lab_of(world: ShowWorld, *, train: int = 24, seed: int = 0, **options: Any) -> MemoryLab:
    given = {"seed": seed, "strategy": "few_shot"} | options
    split = DatasetSplit(cases(0, train), cases(100, 16), cases(200, 16))
    prompts = {"system": Prompt(text="Name it.", requires_grad=True)}
    return MemoryLab(world, split, prompts, OptimizerOptions.model_validate(given))


async def searched(lab: MemoryLab, optimizer: Optimizer, epochs: int = 4) -> MemoryLab:
    await lab.run(optimizer, epochs=epochs)
    return lab


def best(lab: MemoryLab) -> tuple[float, Any]:
    scored = [(lab.validation_score(one) or 0.0, one) for one in lab.pool]
    return max(scored, key=lambda pair: pair[0])


async def test_it_learns_which_cases_to_show_and_asks_no_optimizer() -> None:
    world = ShowWorld()
    world.rewrite = no_rewrite  # type: ignore[method-assign]
    lab = await searched(lab_of(world), FewShot())
    score, found = best(lab)
    assert lab.validation_score(lab.start) == 0.0
    assert score == 1.0, "eight demonstrations can show all there is"
    assert len(demos_in(found)) == 8
    assert found.prompts["system"].text == "Name it."


def no_rewrite(messages: Sequence[Mapping[str, str]], seed: int) -> str:
    raise AssertionError("no optimizer's model is asked")


async def test_a_shown_case_is_never_scored_as_itself_and_only_train_cases_are_shown() -> None:
    lab = await searched(lab_of(ShowWorld()), FewShot())
    train = {as_text(case.inputs) for case in lab.train}
    for candidate in lab.proposed:
        shown = {as_text(demo.inputs) for demo in demos_in(candidate)}
        assert shown <= train
        ran = {as_text(result.case.inputs) for result in lab.results(candidate.id).values()}
        assert not shown & ran
    assert len(unshown(lab.proposed[0], lab.train)) == 24 - len(demos_in(lab.proposed[0]))


async def test_a_race_costs_what_it_says_and_is_the_same_again_in_any_order() -> None:
    plain = await searched(lab_of(ShowWorld(), seed=3), FewShot(), epochs=2)
    started = len(plain.train) + len(plain.validation)
    assert plain.calls - started <= race_cases(8, 16) + 2 * 16
    shuffled = lab_of(ShowWorld(), seed=3)
    shuffled._order = random.Random(5)
    await searched(shuffled, FewShot(), epochs=2)
    assert [one.prompts for one in shuffled.proposed] == [one.prompts for one in plain.proposed]
    assert [d.accepted for d in shuffled.decisions] == [d.accepted for d in plain.decisions]


async def test_fewer_train_cases_than_asked_for_are_as_many_as_there_are() -> None:
    lab = await searched(lab_of(ShowWorld(), train=3, demos={"max": 64}), FewShot(), epochs=3)
    assert {len(demos_in(one)) for one in lab.proposed} <= {1, 2, 3}
    assert lab.rounds[-1].reason


async def test_the_agents_own_best_answers_are_shown_where_the_expected_is_none() -> None:
    lab = lab_of(ShowWorld(says_expected=False))
    await lab.score_start()
    assert await demonstrations(lab, lab.pool) == {}
    assert (await FewShot().round(lab, 2)).candidate is None
    easy = DatasetSplit(cases(0, 8, "easy "), cases(100, 8), ())
    prompts = {"system": Prompt(text="Name it.", requires_grad=True)}
    options = OptimizerOptions.model_validate({"strategy": "few_shot"})
    known = MemoryLab(ShowWorld(says_expected=False), easy, prompts, options)
    await known.score_start()
    found = await demonstrations(known, known.pool)
    assert [demo.output for demo in found.values()] == [LABELS[n % 4] for n in range(8)]


async def test_reflective_learns_text_and_demonstrations_where_each_helps() -> None:
    lab = lab_of(ShowWorld(by_text=True), strategy="reflective", demos={"max": 2})
    await searched(lab, Reflective(), epochs=10)
    score, found = best(lab)
    assert demos_in(found)
    assert found.prompts["system"].text != "Name it."
    assert score > 0.5
    text_alone = lab_of(ShowWorld(), strategy="reflective")
    await searched(text_alone, Reflective(), epochs=4)
    assert all(not demos_in(one) for one in text_alone.proposed)


async def test_reflective_turns_to_the_text_when_there_is_nothing_to_show() -> None:
    lab = lab_of(
        ShowWorld(by_text=True, says_expected=False), strategy="reflective", demos={"max": 4}
    )
    await searched(lab, Reflective(), epochs=3)
    assert best(lab)[0] > 0
    assert all("rewrite" in one.origin or "joined" in one.origin for one in lab.proposed)


async def test_what_is_in_validation_too_is_never_shown() -> None:
    both = cases(0, 6)
    prompts = {"system": Prompt(text="Name it.", requires_grad=True)}
    options = OptimizerOptions.model_validate({"strategy": "few_shot"})
    small = MemoryLab(ShowWorld(), DatasetSplit(both, both, ()), prompts, options)
    await searched(small, FewShot(), epochs=3)
    assert small.proposed == []
    assert "validation" in small.rounds[0].reason
    doubled = DatasetSplit((*cases(0, 8), *cases(100, 2)), cases(100, 8), ())
    lab = MemoryLab(ShowWorld(), doubled, prompts, options)
    await searched(lab, FewShot(), epochs=2)
    kept = {as_text(case.inputs) for case in lab.validation}
    assert lab.proposed
    for candidate in lab.proposed:
        assert not kept & {as_text(demo.inputs) for demo in demos_in(candidate)}


def pool(count: int, labels: int) -> dict[str, Demo]:
    return {
        f"k{n}": Demo(inputs={"ask": f"word{n} same"}, output=f"label{n % labels}")
        for n in range(count)
    }


@pytest.mark.parametrize("seed", range(5))
def test_sets_are_balanced_over_labels_and_changes_change_one_thing(seed: int) -> None:
    draws, rng = DemoDraws(pool(24, 4), 8), stream(seed, "sets")
    drawn = draws.draw(8, rng)
    counts = [sum(demo.output == f"label{n}" for demo in drawn) for n in range(4)]
    assert counts == [2, 2, 2, 2]
    assert len({demo.key for demo in drawn}) == 8
    for _ in range(50):
        changed = draws.change(drawn, rng)
        assert len({demo.key for demo in changed}) == len(changed)
        before, after = {d.key for d in drawn}, {d.key for d in changed}
        assert len(before - after) <= 1
        assert len(after - before) <= 1
        assert 1 <= len(changed) <= 8


def test_answers_that_do_not_repeat_are_no_labels() -> None:
    draws = DemoDraws(pool(10, 10), 4)
    assert draws.sizes == [2, 4]
    assert len(draws.draw(4, stream(0, "x"))) == 4


def test_laps_double_until_all_cases_are_run() -> None:
    assert rungs(24, 6) == [6, 12, 24]
    assert rungs(30, 6) == [6, 12, 24, 30]
    assert rungs(4, 6) == [4]
    assert rungs(0, 6) == []
    assert race_cases(8, 24) == 8 * 6 + 4 * 6 + 2 * 12


def scores(*values: float) -> dict[str, float]:
    return {f"k{n}": value for n, value in enumerate(values)}


def test_who_is_surely_behind_runs_no_more_and_who_may_come_back_does() -> None:
    leader = scores(1, 1, 1, 1, 1, 1, 0, 1)
    assert is_hopeless(scores(0, 0, 1, 0, 0, 0, 0, 0), leader)
    assert not is_hopeless(scores(0, 1, 1, 1, 1, 1, 1, 0), leader)
    assert not is_hopeless(scores(0, 0, 0), leader), "three cases say nothing"
    assert not is_hopeless(leader, leader)
    field = {"a": scores(*[0] * 8), "b": leader, "c": scores(1, 1, 1, 1, 0, 1, 0, 1)}
    assert survivors(field, 3) == ["b", "c"]
    assert survivors(field, 1) == ["b"]


def test_a_rewrite_that_cannot_gain_any_more_is_told_exactly() -> None:
    parent = scores(1, 1, 1, 0)
    assert cannot_be_kept(parent, {"k0": 0.0, "k1": 1.0})
    assert not cannot_be_kept(parent, {"k0": 1.0, "k1": 1.0})
    assert cannot_be_kept(scores(1, 1), scores(1))
    assert not cannot_be_kept(parent, {})
