"""Whom a batch meets, what it is asked for, and its figures."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from cornerman.domain.battles import Battle, batch_metrics
from cornerman.domain.battles.request import BattleBatchRequest
from cornerman.domain.errors import BadInputError, NotFoundError
from cornerman.domain.personas import Persona, Scenario
from cornerman.domain.personas.selection import (
    interval_width,
    named_personas,
    persona_histories,
    select_personas,
)

START = datetime(2026, 1, 1, tzinfo=UTC)


def persona(name: str, *, active: bool = True, scenario: str | None = None) -> Persona:
    place = scenario and Scenario(id=scenario, description="d", agent_goal="a", persona_goal="p")
    return Persona(id=name, name=name, system_prompt=name, active=active, scenario=place or None)


def battle(persona_id: str, hour: int, score: float | None = 50, **facts: object) -> Battle:
    data = {
        "id": f"{persona_id}-{hour}",
        "batch_id": "b",
        "persona_id": persona_id,
        "status": "unscored" if score is None else "scored",
        "score": score,
        "started_at": START + timedelta(hours=hour),
        **facts,
    }
    return Battle.model_validate(data)


PEOPLE = [persona(name) for name in "dcba"]


def test_rotate_meets_the_never_met_first_and_then_the_least_recent():
    history = persona_histories([battle("a", 3), battle("c", 1), battle("c", 2), battle("d", 1)])
    chosen = select_personas(PEOPLE, history, "rotate", 4)
    assert chosen.persona_ids == ("b", "d", "c", "a")
    assert chosen.reasons["b"] == "never met" and "02:00" in chosen.reasons["c"]


def test_who_was_chosen_but_never_reached_counts_as_never_met():
    reached = [battle("a", 1), battle("b", 2), battle("d", 3)]
    unreached = battle("c", 4, None, status="cancelled", started_at=None)
    chosen = select_personas(PEOPLE, persona_histories([*reached, unreached]), "rotate", 2)
    assert chosen.persona_ids == ("c", "a")
    assert chosen.reasons["c"] == "never met"


def test_rotate_meets_everybody_once_before_anybody_twice():
    met: list[Battle] = []
    for hour in range(8):
        (chosen,) = select_personas(PEOPLE, persona_histories(met), "rotate", 1).persona_ids
        met.append(battle(chosen, hour))
    assert [b.persona_id for b in met] == list("abcdabcd")


def test_hardest_meets_the_lowest_mean_first_and_the_unknown_last():
    battles = [battle("a", 1, 80), battle("b", 1, 20), battle("c", 1, 60), battle("b", 2, 50)]
    chosen = select_personas(PEOPLE, persona_histories(battles), "hardest", 4)
    assert chosen.persona_ids == ("b", "c", "a", "d")


def test_uncertain_meets_the_widest_interval_first():
    battles = [battle("a", h, 50) for h in range(9)]
    battles += [battle("b", h, s) for h, s in enumerate((0, 100, 0, 100))]
    battles += [battle("c", h, 50) for h in range(4)]
    chosen = select_personas(PEOPLE, persona_histories(battles), "uncertain", 4)
    assert chosen.persona_ids == ("d", "b", "c", "a")


def test_two_equal_scores_are_no_certainty():
    widths = [interval_width(scores) for scores in ([], [50], [50, 50], [50] * 20)]
    assert widths == sorted(widths, reverse=True) and widths[2] > 40


def test_spoiled_and_unscored_battles_count_as_met_but_not_as_scores():
    history = persona_histories([battle("a", 1, 90, spoiled=True), battle("a", 2, None)])["a"]
    assert (history.battles, history.scores) == (2, ())
    assert history.last_met == START + timedelta(hours=2)


def test_equals_are_spread_over_scenarios():
    people = [persona(f"p{i}", scenario=f"s{i // 4}") for i in range(40)]
    chosen = select_personas(people, {}, "rotate", 10)
    met = {p.scenario.id for p in people if p.scenario and p.id in chosen.persona_ids}
    assert len(met) == len(set(chosen.persona_ids)) == 10


def test_inactive_personas_are_not_met():
    people = [persona("a", active=False), persona("b")]
    assert select_personas(people, {}, n=5).persona_ids == ("b",)


def test_without_an_active_persona_the_error_says_what_to_type():
    with pytest.raises(NotFoundError, match="No active personas found") as caught:
        select_personas([persona("a", active=False)], {}, workflow_id="bazaar")
    for way in ("on ID", "import FILE", "generate N"):
        assert f"cornerman personas {way} --workflow bazaar" in caught.value.hint
    with pytest.raises(NotFoundError) as caught:
        select_personas([], {})
    assert "personas on" not in caught.value.hint


def test_named_personas_keep_their_order_and_must_exist():
    assert [p.id for p in named_personas(PEOPLE, ["c", "a"])] == ["c", "a"]
    with pytest.raises(BadInputError) as caught:
        named_personas(PEOPLE, ["a", "zz"])
    assert caught.value.field == "persona_ids.1"


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"batch_size": 11},
        {"turn_limit": 1},
        {"policy": "random"},
        {"batch_budget_usd": 0},
        {"batch_budget_usd": float("inf")},
        {"persona_ids": []},
        {"extra": 1},
    ],
)
def test_a_request_out_of_bounds_is_refused(wrong: dict[str, object]):
    with pytest.raises(ValidationError):
        BattleBatchRequest.model_validate(wrong)


def test_every_field_of_a_request_is_described():
    schema = BattleBatchRequest.model_json_schema()
    assert schema["additionalProperties"] is False
    assert all("description" in field for field in schema["properties"].values())


def test_a_batch_averages_what_can_be_rated_and_pays_for_everything():
    battles = [
        battle("a", 1, 80, cost_usd=0.25),
        battle("b", 1, 100, spoiled=True, cost_usd=0.25),
        battle("c", 1, None, cost_usd=0.25),
        battle("d", 1, None, status="failed", cost_usd=0.25),
        battle("e", 1, None, status="cancelled", cost_usd=0.25),
    ]
    metrics = batch_metrics(battles, breakthroughs=1)
    assert (metrics.battles_completed, metrics.errors, metrics.breakthroughs) == (3, 1, 1)
    assert (metrics.average_score, metrics.total_cost) == (80, 1.25)


def test_a_batch_without_scores_has_no_average():
    assert batch_metrics([battle("a", 1, None)]).average_score is None
    assert batch_metrics([]).battles_completed == 0


def test_a_battle_survives_json():
    made = battle("a", 1, 80, turns=[{"index": 0, "speaker": "agent", "text": "é"}])
    assert Battle.model_validate_json(made.model_dump_json()) == made
    assert made.brief()["score"] == 80
