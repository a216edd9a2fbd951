"""Ratings on one scale, regressions, and breakthroughs."""

import json
import random

import pytest

from cornerman.domain.battles import Battle
from cornerman.domain.battles.breakthroughs import (
    Breakthrough,
    Tactic,
    allowed_transitions,
    check_transition,
    find_duplicate,
    is_breakthrough,
    is_confirmed,
    parse_tactic,
    same_tactic,
    scout_messages,
)
from cornerman.domain.battles.conversation import make_turn
from cornerman.domain.battles.ratings import rate, regression, scores_by_persona
from cornerman.domain.errors import BadInputError, LLMError
from cornerman.workflows import builtin_workflow


def battle(n: int, version: str, persona: str, score: float, **facts: object) -> Battle:
    data = {"id": f"b{n:04}", "batch_id": "b", "persona_id": persona, "score": score}
    return Battle.model_validate({**data, "agent_version": version, "status": "scored", **facts})


def field(count: int = 120) -> list[Battle]:
    """Version c1 is stronger than c0; the persona `hard` is stronger than `easy`."""
    rng = random.Random(3)
    mean = {("c0", "easy"): 60, ("c0", "hard"): 25, ("c1", "easy"): 85, ("c1", "hard"): 55}
    players = list(mean)
    return [
        battle(n, *players[n % 4], min(100, max(0, rng.gauss(mean[players[n % 4]], 15))))
        for n in range(count)
    ]


def test_ratings_order_versions_and_personas_on_one_scale():
    ratings = {(r.kind, r.id): r for r in rate(field())}
    assert ratings["agent", "c1"].low > ratings["agent", "c0"].high
    assert ratings["persona", "hard"].rating > ratings["persona", "easy"].rating
    for rating in ratings.values():
        assert rating.low <= rating.rating <= rating.high
        assert rating.battles == 60


def test_ratings_are_the_same_for_the_same_battles_in_any_order():
    battles = field(40)
    assert rate(battles, seed=1) == rate(list(reversed(battles)), seed=1)


def test_400_points_are_about_ten_to_one():
    battles = [battle(n, "c0", "p", 100 / 11 * 10) for n in range(400)]
    agent, persona = rate(battles)
    assert (agent.kind, persona.kind) == ("agent", "persona")
    assert agent.rating - persona.rating == pytest.approx(400, abs=6)
    assert agent.rating + persona.rating == pytest.approx(2000, abs=1)


def test_a_single_win_is_rated_with_caution():
    agent, persona = rate([battle(1, "c0", "p", 100)])
    assert 1000 < agent.rating < 1200 and 800 < persona.rating < 1000


def test_groups_that_never_met_still_get_ratings():
    ratings = rate([battle(1, "c0", "p", 100), battle(2, "c1", "q", 0)])
    assert {r.id for r in ratings} == {"c0", "c1", "p", "q"}


def test_unrated_battles_do_not_count():
    spoiled = battle(1, "c0", "p", 100, spoiled=True)
    failed = battle(2, "c0", "p", 100, status="failed")
    assert rate([spoiled, failed]) == []
    assert scores_by_persona([spoiled, battle(3, "c0", "p", 7)], "c0") == {"p": [7]}


def scores(mean: float, seed: int, personas: int = 10) -> dict[str, list[float]]:
    rng = random.Random(seed)
    return {f"p{n}": [rng.gauss(mean, 8) for _ in range(3)] for n in range(personas)}


def test_a_clearly_worse_version_raises_an_alert():
    alert = regression(scores(70, 1), scores(50, 2))
    assert alert is not None and alert.low <= alert.difference <= alert.high < 0
    assert alert.personas == 10 and alert.after_mean < alert.before_mean
    assert regression(scores(70, 1), scores(50, 2)) == alert


def test_an_equal_or_better_version_raises_none():
    assert regression(scores(70, 1), scores(70, 1)) is None
    assert regression(scores(50, 1), scores(70, 2)) is None


def test_false_alarms_are_about_as_rare_as_promised():
    pairs = ((scores(60, 2 * n, 6), scores(60, 2 * n + 1, 6)) for n in range(300))
    alarms = sum(regression(a, b, resamples=400) is not None for a, b in pairs)
    assert alarms / 300 < 0.09


def test_few_shared_personas_claim_nothing():
    assert regression(scores(90, 1, 4), scores(10, 2, 4)) is None
    assert regression(scores(90, 1), {"other": [10.0]}) is None
    assert regression({}, {}) is None


@pytest.mark.parametrize(
    ("score", "history", "expected"),
    [
        (95, [], "at least 95"),
        (94.9, [], None),
        (None, [10, 10, 10], None),
        (80, [50, 50, 50], "30.0 above"),
        (80, [50, 50], None),
        (64, [50, 50, 50], None),
        (65, [20, 50, 70], None),
    ],
)
def test_what_counts_as_a_breakthrough(score: float, history: list[float], expected: str | None):
    reason = is_breakthrough(score, history)
    assert (reason is None) if expected is None else (expected in (reason or ""))


def test_re_runs_confirm_when_half_of_them_hold_up():
    assert is_confirmed([96, None, 80], 95) is True
    assert is_confirmed([96, 80, 80], 95) is False
    assert is_confirmed([None], 95) is None


def test_only_stated_transitions_are_allowed():
    check_transition("pending_review", "reviewed")
    check_transition("reviewed", "promoted")
    assert allowed_transitions("promoted") == ()
    for status, to in (("pending_review", "promoted"), ("promoted", "rejected")):
        with pytest.raises(BadInputError, match=to):
            check_transition(status, to)


ANCHOR = "Anchor the price high by naming the new tyres before any offer."


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (ANCHOR.upper(), True),
        ("Anchors the price high, naming the new tyres before making any offer", True),
        ("Offer free delivery in exchange for a firm yes today.", False),
        ("", False),
    ],
)
def test_near_duplicates_are_the_same_tactic(other: str, same: bool):
    assert same_tactic(ANCHOR, other) is same and same_tactic(other, ANCHOR) is same


def test_a_duplicate_is_found_among_known_breakthroughs():
    tactic = Tactic(title="Anchor", tactic=ANCHOR, defining_turn=1, snippet="x")
    known = Breakthrough(
        id="k",
        battle_id="b",
        batch_id="b",
        workflow_id="negotiation",
        persona_id="p",
        score=96,
        reason="r",
        tactic=tactic,
    )
    assert find_duplicate(tactic, [known]) == known
    assert find_duplicate(tactic.model_copy(update={"tactic": "Wait in silence."}), [known]) is None


TURNS = [make_turn(0, "persona", "I offer $300."), make_turn(1, "agent", "The tyres are new.")]


def scout_answer(**changes: object) -> str:
    good = {"title": "T", "tactic": ANCHOR, "defining_turn": 1, "snippet": "tyres are new"}
    return json.dumps({**good, **changes})


def test_the_scout_is_asked_with_the_fenced_transcript():
    text = scout_messages(builtin_workflow("negotiation").scenarios[0], TURNS, "score 96")[1]
    assert "score 96" in text["content"] and '"turn": 1, "side": "Agent"' in text["content"]


def test_a_tactic_moves_to_the_turn_that_it_quotes():
    assert parse_tactic(scout_answer(), TURNS).defining_turn == 1
    assert parse_tactic(scout_answer(defining_turn=0), TURNS).defining_turn == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (scout_answer(snippet="I offer $300"), "no quote"),
        (scout_answer(snippet="never said"), "no quote"),
        (scout_answer(snippet="  "), "snippet"),
        (scout_answer(title=None), "title"),
        ("none", "not JSON"),
    ],
)
def test_a_tactic_must_quote_the_agent(text: str, says: str):
    with pytest.raises(LLMError, match=says):
        parse_tactic(text, TURNS)
