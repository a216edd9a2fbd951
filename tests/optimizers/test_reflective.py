"""The default strategy: what it shows, refuses, joins and lets in."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from statistics import fmean

from cornerman.domain.training.candidates import Prompt
from cornerman.optimizers.reflective import Reflective
from tests.optimizers.scripted import SkillWorld, lab_of, no_answer


async def test_first_round_learns_from_failures_for_free() -> None:
    lab = lab_of(SkillWorld())
    await lab.score_start()
    before = lab.calls
    await lab.next_round(Reflective())
    options = lab.options
    tries = options.proposals * (1 + options.minibatch_size)
    assert lab.calls - before <= tries + len(lab.validation)


async def test_proposals_are_shown_different_failures() -> None:
    world = SkillWorld()
    await lab_of(world).run(Reflective(), epochs=2)
    shown = [frozenset(text.split("needs ")[1:]) for text in world.asked]
    assert len(shown) == 6
    assert len(set(world.asked)) == 6
    assert all("score: 1" not in text for text in world.asked)


async def test_joins_what_several_rewrites_learned() -> None:
    lab = lab_of(SkillWorld())
    await lab.run(Reflective(), epochs=2)
    winner = lab.pool[-1]
    assert winner.origin.startswith("joined changes of c2-1")
    assert winner.prompts["system"].text.count("Learn to") >= 4
    parts = [d for d in lab.decisions if d.reason == f"merged into {winner.id}"]
    assert len(parts) >= 3


async def test_says_how_many_rewrites_were_refused_and_why() -> None:
    lab = lab_of(SkillWorld(reply="<rewrite>  </rewrite>"))
    await lab.run(Reflective(), epochs=2)
    assert lab.rounds[0].reason == "6 of 6 rewrites refused: the rewrite is empty (6 times)"
    assert lab.proposed == []


async def test_refuses_long_rewrites_before_any_case_is_spent() -> None:
    lab = lab_of(SkillWorld(reply=f"<rewrite>{'bake ' * 2000}</rewrite>"))
    await lab.run(Reflective(), epochs=2)
    assert "the bound is 4000" in lab.rounds[0].reason
    assert lab.calls == 40 + 6


async def test_refuses_a_rewrite_that_did_not_help_before() -> None:
    world = SkillWorld(reply="<rewrite>Learn to add and to yodel.</rewrite>")
    lab = lab_of(world)
    await lab.run(Reflective(), epochs=3)
    assert "the rewrite was tried before (6 times)" in lab.rounds[1].reason
    assert "<tried>\nLearn to add and to yodel." in world.asked[-1]


async def test_the_same_rewrite_twice_is_tried_once() -> None:
    lab = lab_of(SkillWorld(reply="<rewrite>Learn to add and bake.</rewrite>"))
    await lab.run(Reflective(), epochs=2)
    assert [candidate.id for candidate in lab.proposed] == ["c2-1"]


async def test_some_answers_missing_leave_the_others() -> None:
    def every_other(text: str) -> str:
        return no_answer(text) if "needs bake" in text else "<rewrite>Learn to carve.</rewrite>"

    lab = lab_of(SkillWorld(reply=every_other))
    await lab.run(Reflective(), epochs=2)
    assert len(lab.proposed) == 1
    assert "gave no usable answer (timeout)" in lab.rounds[0].reason


async def test_says_so_when_there_is_nothing_to_learn() -> None:
    world = SkillWorld()
    skills = "Learn to add, bake, carve, draw, etch, fold, glue and hem."
    lab = lab_of(world, {"system": Prompt(text=skills, requires_grad=True)})
    await lab.run(Reflective(), epochs=3)
    assert {outcome.reason for outcome in lab.rounds} == {"no train case fails: nothing to learn"}
    assert world.asked == []


async def test_repeats_of_a_case_count_as_one() -> None:
    lab = lab_of(SkillWorld(noise=0.1), repeats=3)
    await lab.run(Reflective(), epochs=4)
    assert "on 1" in lab.rounds[0].reason or "on 2" in lab.rounds[0].reason
    assert (lab.validation_score(lab.pool[-1]) or 0) > (lab.validation_score(lab.start) or 0)


async def test_noise_alone_seldom_gets_a_rewrite_in() -> None:
    """Rewrites that change nothing: under three rounds in ten let one in."""
    half = "Learn to add, bake, carve and draw."
    rounds: list[bool] = []
    for seed in range(60):
        numbers = itertools.count()
        world = SkillWorld(noise=0.1, reply=_remark(half, numbers))
        lab = lab_of(world, {"system": Prompt(text=half, requires_grad=True)}, seed=seed)
        await lab.run(Reflective(), epochs=4)
        rounds += [outcome.accepted for outcome in lab.rounds]
    assert fmean(rounds) < 0.3


def _remark(prompt: str, numbers: Iterator[int]) -> Callable[[str], str]:
    return lambda _: f"<rewrite>{prompt} Remark {next(numbers)}.</rewrite>"
