"""What each side is shown, and when a conversation ends."""

import pytest

from cornerman.domain.battles import STORED_TURN_BYTES, Turn
from cornerman.domain.battles.conversation import (
    agent_messages,
    clip,
    end_reason,
    make_turn,
    next_speaker,
    persona_messages,
)
from cornerman.domain.battles.phrases import walks_away
from cornerman.domain.battles.workflows import Limits
from cornerman.personas import builtin_personas
from cornerman.workflows import builtin_workflow

BARGAIN = builtin_workflow("negotiation").scenarios[0]
SUPPORT = builtin_workflow("support").scenarios[0]
LIMITS = Limits(turn_limit=6)


def said(*lines: str) -> list[Turn]:
    speakers = {"a": "agent", "p": "persona"}
    return [make_turn(i, speakers[line[0]], line[2:].strip()) for i, line in enumerate(lines)]


def test_both_sides_see_the_whole_history_from_their_own_side():
    turns = said("p: Hello", "a: Hi", "p: $300?")
    agent = agent_messages("Sell well.", BARGAIN, turns)
    persona = persona_messages(
        builtin_personas("negotiation")[0], BARGAIN, said("p: Hello", "a: Hi")
    )
    assert [(m["role"], m["content"]) for m in agent[1:]] == [
        ("user", "Hello"),
        ("assistant", "Hi"),
        ("user", "$300?"),
    ]
    assert [m["role"] for m in persona] == ["system", "user", "assistant", "user"]


def test_each_side_knows_its_own_goal_alone():
    persona = builtin_personas("negotiation")[0]
    agent_system = agent_messages("Sell well.", BARGAIN, [])[0]["content"]
    persona_system = persona_messages(persona, BARGAIN, [])[0]["content"]
    assert agent_system.startswith("Sell well.") and "$430" in agent_system
    assert "$340" in persona_system and persona.attack_patterns[0] in persona_system
    assert "$340" not in agent_system and "$430" not in persona_system


def test_prompts_show_a_bounded_part_of_a_long_turn():
    turn = make_turn(0, "persona", "x" * 1_000_000)
    assert len(turn.text) == STORED_TURN_BYTES and turn.truncated
    shown = agent_messages("p", BARGAIN, [turn])[1]["content"]
    assert len(shown) < 8_100 and shown.endswith("57,536 characters cut]")
    assert clip("short") == "short"


def test_a_turn_keeps_what_a_database_can_hold():
    turn = make_turn(0, "persona", "a\x00b\ud800" + "é" * STORED_TURN_BYTES)
    assert turn.text.startswith("ab?é")
    assert len(turn.text.encode()) <= STORED_TURN_BYTES


def test_sides_alternate():
    assert next_speaker([]) == "persona" and next_speaker([], first="agent") == "agent"
    assert next_speaker(said("p: a")) == "agent" and next_speaker(said("a: a")) == "persona"


def test_an_empty_turn_is_shown_as_silence():
    assert agent_messages("p", BARGAIN, said("p:"))[1]["content"] == "(says nothing)"


ENDS = {
    "goes on": (["p: Hello", "a: Hi there, it is $480."], None),
    "agreed price": (["a: $430 is my price.", "p: Deal!"], "goal_reached"),
    "walk-away marker": (["a: $430.", "p: Too much for me. [WALK AWAY]"], "walk_away"),
    "walk-away phrase": (["a: $430.", "p: Then I'm walking away."], "walk_away"),
    "threat": (["a: $430.", "p: Lower it or I'll walk away."], None),
    "both silent": (["p: ...", "a:"], "stall"),
    "one side silent twice": (["p: [silence]", "a: Hello?", "p: ..."], "stall"),
    "one silence": (["p: Hello", "a: Hi!", "p: ..."], None),
    "repetition": (
        ["p: I can only pay $300 for it.", "a: $450.", "p: I can only pay $300 for it!"],
        "repetition",
    ),
    "same words, other price": (
        ["p: I can only pay $300 for it.", "a: $450.", "p: I can only pay $310 for it."],
        None,
    ),
    "short politeness twice": (["p: Yes, please.", "a: Hm, what?", "p: Yes, please."], None),
    "turn limit": (["p: a b", "a: c d", "p: e f", "a: g h", "p: i j", "a: k l"], "turn_limit"),
    "deal in the last turn": (
        ["p: a b", "a: c d", "p: e f", "a: g h", "p: I offer $400.", "a: Deal!"],
        "goal_reached",
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_negotiation_ends_for_a_typed_reason(name: str):
    lines, reason = ENDS[name]
    assert end_reason(said(*lines), BARGAIN, LIMITS) == reason


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["a: A trace is open.", "p: Thank you, that solved it."], "goal_reached"),
        (["a: A trace is open.", "p: Great. [GOAL REACHED]"], "goal_reached"),
        (["p: Help", "a: [GOAL REACHED] I solved it. It is resolved."], None),
        (["a: Done?", "p: No, that hasn't solved it."], None),
        (["a: Done?", "p: Has that solved it?"], None),
    ],
)
def test_only_the_persona_says_that_it_was_helped(lines: list[str], reason: str | None):
    assert end_reason(said(*lines), SUPPORT, LIMITS) == reason


@pytest.mark.parametrize(
    ("text", "leaves"),
    [
        ("I'm walking away.", True),
        ("I'll have to pass. Goodbye!", True),
        ("I'll pass.", True),
        ("I'll pass it on to my wife.", False),
        ("I’ll look elsewhere, thanks.", True),
        ("If you don't move I'll walk away.", False),
        ("I'm not walking away yet.", False),
        ("Should I say I'm walking away?", False),
        ("I'm no longer interested.", True),
        ("I'm interested.", False),
        ("The deal is off.", True),
    ],
)
def test_tells_leaving_from_threatening(text: str, leaves: bool):
    assert walks_away(text) is leaves
