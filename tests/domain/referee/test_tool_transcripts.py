from __future__ import annotations

from cornerman.domain.referee.transcripts import support_scenario, turns_of

MESSAGES = [
    {"role": "system", "content": "# Policy\nNo refunds."},
    {"role": "user", "content": "Hi, book a flight."},
    {"role": "assistant", "content": "Your id?"},
    {"role": "user", "content": "mia"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"function": {"name": "get_user", "arguments": '{"id": "mia"}'}}],
    },
    {"role": "tool", "name": "get_user", "content": "x" * 900},
    {"role": "assistant", "content": "Booked."},
]


def test_sides_alternate_and_tools_stand_in_the_agents_turn() -> None:
    turns = turns_of(MESSAGES)
    assert [turn.speaker for turn in turns] == ["persona", "agent", "persona", "agent"]
    assert [turn.index for turn in turns] == [0, 1, 2, 3]
    assert turns[3].text.splitlines()[0] == '[calls tool get_user with {"id": "mia"}]'
    assert turns[3].text.endswith("\nBooked.")


def test_tool_results_are_cut() -> None:
    answered = turns_of(MESSAGES, result_chars=10)[3].text.splitlines()[1]
    assert answered == "[tool get_user answered: xxxxxxxxxx …]"


def test_empty_messages_and_the_policy_are_no_turns() -> None:
    assert turns_of([{"role": "system", "content": "p"}, {"role": "user", "content": None}]) == ()


def test_arguments_may_be_an_object() -> None:
    call = {"function": {"name": "f", "arguments": {"a": 1}}}
    (turn,) = turns_of([{"role": "assistant", "content": "", "tool_calls": [call]}])
    assert turn.text == '[calls tool f with {"a": 1}]'


def test_the_situation_has_the_policy_and_what_the_user_wants() -> None:
    scenario = support_scenario("7-0", MESSAGES, "Book a flight to Rome.")
    assert "No refunds." in scenario.description
    assert scenario.persona_goal == "Book a flight to Rome."
    assert support_scenario("7-0", [], "").persona_goal
