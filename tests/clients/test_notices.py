from __future__ import annotations

import json

import pytest

from cornerman.clients.slack import validate_blocks
from cornerman.domain.notices import (
    SIMULATED_MARK,
    BatchDone,
    BreakthroughFound,
    BudgetStopped,
    Regression,
    RunFailed,
    SlackMessage,
    batch_done,
    breakthrough,
    budget_stopped,
    failure,
    regression,
)

HOSTILE = ["<!channel> & <http://x|y>", "x" * 9000, "&" * 9000, ">\n" * 5000, "", "a\nb", "\ud83d"]


def all_notices(text: str, *, simulated: bool = False) -> list[SlackMessage]:
    return [
        batch_done(
            BatchDone(text, 3, 5, None, 0.004, 5, 1, (text,) * 30, text, simulated=simulated)
        ),
        breakthrough(BreakthroughFound(text, text, 96.4, text, text, simulated=simulated)),
        budget_stopped(BudgetStopped(text, 5, 4.99, text, kill_switch=True, simulated=simulated)),
        regression(Regression(text, text, -0.42, -0.7, -0.1, 40, simulated=simulated)),
        failure(RunFailed(text, text, text, {text[:9]: text}, simulated=simulated)),
    ]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("simulated", [True, False])
def test_slack_would_take_every_notice_of_any_text(text: str, simulated: bool):
    for message in all_notices(text, simulated=simulated):
        assert validate_blocks(message.blocks) == []
        assert message.text and len(message.text) <= 3000


def test_no_text_can_forge_a_mention_or_a_link():
    for message in all_notices("<!channel> <http://x|y>"):
        marked = [block for block in message.blocks if block["type"] != "header"]
        assert "<" not in json.dumps(marked) and "<!channel>" not in message.text


def test_no_cut_halves_an_escape():
    for message in all_notices("&" * 9000):
        marked = json.dumps([b for b in message.blocks if b["type"] != "header"])
        assert marked.count("&") == marked.count("&amp;")


def test_simulated_text_is_marked_and_other_text_is_not():
    for message in all_notices("x", simulated=True):
        assert SIMULATED_MARK in json.dumps(message.blocks) and "[simulated]" in message.text
    for message in all_notices("x"):
        assert "imulated" not in json.dumps(message.blocks) + message.text


def test_a_batch_says_what_it_did():
    text = batch_done(BatchDone("b1", 3, 5, 71.25, 0.1234, 5, 1, ("p2: hung",), "timeout")).text
    assert text.splitlines() == [
        "Battle batch b1: 3 of 5 done",
        "Average score: 71.2 / 100, Cost: $0.12 of $5.00, Breakthroughs: 1, Stopped by: timeout",
        "Errors:",
        "• p2: hung",
    ]


def test_the_kill_switch_says_how_to_turn_it_off():
    message = budget_stopped(BudgetStopped("day:2026-01-31", 15, 14.99, "r1", kill_switch=True))
    assert "cornerman kill-switch off" in message.text
