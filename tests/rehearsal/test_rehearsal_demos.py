"""The rehearsal agent learns from demonstrations, and takes them for no talk."""

from __future__ import annotations

from cornerman.rehearsal.request import ChatRequest, Message
from cornerman.rehearsal.roles import reply_to
from tests.bench.rehearsal_world import RehearsalWorld, example, starting_prompts


def answered(world_seed: int, shown: int) -> float:
    """Share of the last cases that are answered rightly after so many of the first are shown."""
    cases, text = example("triage")
    world = RehearsalWorld(world_seed, temperature=0.0)
    prompts = starting_prompts(text)
    demos = [{"inputs": case.inputs, "output": str(case.expected_output)} for case in cases[:shown]]
    held = prompts["system"].model_dump() | {"demos": demos}
    taught = {"system": type(prompts["system"]).model_validate(held)}
    rest = cases[20:100]
    return sum(world.score(c, world.answer(taught, c, 1)).value for c in rest) / len(rest)


def test_demonstrations_help_and_more_of_them_help_more() -> None:
    for seed in (1, 2, 3):
        none, some, many = (answered(seed, shown) for shown in (0, 4, 16))
        assert none < many
        assert none <= some + 0.05


def test_a_support_talk_stays_one() -> None:
    messages = (
        Message("system", "You are a support agent of a shop."),
        Message("user", "My parcel is late."),
        Message("assistant", "I am sorry. What is your order number?"),
        Message("user", "It is 5512."),
    )
    request = ChatRequest(role="agent", messages=messages, temperature=0.0, seed=1)
    assert len(reply_to(request, 0).split()) > 3
