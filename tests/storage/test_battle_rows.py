"""Rows of personas, battles, breakthroughs, ratings and messages, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from cornerman.domain.battles import Battle, Turn
from cornerman.domain.battles.breakthroughs import Breakthrough, Tactic
from cornerman.domain.battles.ratings import Rating
from cornerman.domain.errors import BadInputError, NotFoundError
from cornerman.domain.personas import Persona, Scenario
from cornerman.storage import (
    battles,
    breakthroughs,
    notifications,
    personas,
    ratings,
    runs,
    workflows,
)
from cornerman.storage.database import Database
from cornerman.storage.tables import notifications as message_rows

SCENARIO = Scenario(id="s", description="d", agent_goal="a", persona_goal="p")
PERSONA = Persona(id="p1", name="P\x00One", system_prompt="You are P1.", workflow_id="lab")


def add_batch(session, batch_id: str = "b1") -> None:
    workflows.create_workflow(session, "lab")
    runs.create_run(
        session,
        run_id=batch_id,
        kind="battle",
        workflow_id="lab",
        request={},
        random_state={},
        simulated=False,
    )


def add_battle(session, battle_id: str, score: float | None = None, **fields) -> Battle:
    values = {"batch_id": "b1", "workflow_id": "lab", "persona_id": "p1", **fields}
    status = "pending" if score is None else "scored"
    battle = Battle(id=battle_id, score=score, status=status, **values)
    battles.create_battle(session, battle, PERSONA, SCENARIO)
    return battle


def test_a_battle_reads_back_as_it_was_stored(db: Database) -> None:
    with db.writing() as session:
        add_batch(session)
        stored = add_battle(session, "one", 71.5, judged_scores=(70, 73), seed=2**31 - 1)
        battles.create_turn(session, "one", Turn(index=0, speaker="persona", text="a\x00b \ud800"))
    with db.reading() as session:
        found = battles.read_battle(session, "one")
        assert found is not None
        assert found.model_copy(update={"turns": ()}) == stored
        assert battles.read_setting(session, "one") is not None
        assert len(found.turns) == 1


def test_storing_again_changes_nothing(db: Database) -> None:
    with db.writing() as session:
        add_batch(session)
        add_battle(session, "one", 50)
        add_battle(session, "one", 99)
        for text in ("first", "second"):
            battles.create_turn(session, "one", Turn(index=0, speaker="agent", text=text))
        found = battles.read_battle(session, "one")
    assert found is not None
    assert (found.score, found.turns[0].text) == (50, "first")


def test_a_battle_is_scouted_once(db: Database) -> None:
    with db.writing() as session:
        add_batch(session)
        add_battle(session, "one", 50)
        add_battle(session, "two")
        assert battles.read_unscouted_ids(session) == ["one"]
        assert [battles.update_scouted(session, "one") for _ in range(2)] == [True, False]
        assert battles.read_unscouted_ids(session) == []


def test_earlier_scores_are_of_the_same_persona_and_kind(db: Database) -> None:
    scores = {"a": 10.0, "b": 20.0, "c": 30.0, "d": 40.0}
    odd = {"b": {"persona_id": "p2"}, "c": {"simulated": True}}
    for name, score in scores.items():
        with db.writing() as session:
            add_batch(session)
            add_battle(session, name, score, **odd.get(name, {}))
    with db.writing() as session:
        last = add_battle(session, "e", 50)
    with db.reading() as session:
        assert battles.read_earlier_scores(session, last) == [10, 40]
        assert battles.read_earlier_scores(session, last, limit=1) == [40]


def test_personas_are_brought_up_to_date_but_stay_switched_off(db: Database) -> None:
    with db.writing() as session:
        assert personas.create_personas(session, [PERSONA]) == (1, 0)
        personas.update_persona_active(session, "lab", "p1", active=False)
        again = PERSONA.model_copy(update={"difficulty": 5})
        assert personas.create_personas(session, [again]) == (0, 1)
        found = personas.read_persona(session, "lab", "p1")
        assert found is not None
        assert (found.difficulty, found.active) == (5, False)
        assert personas.read_personas(session, "lab", active=True) == []


def test_a_breakthroughs_reviews_are_kept_in_order(db: Database) -> None:
    tactic = Tactic(title="t", tactic="t", defining_turn=1, snippet="s")
    with db.writing() as session:
        add_batch(session)
        add_battle(session, "one", 99)
        found = Breakthrough(
            id="x",
            battle_id="one",
            batch_id="b1",
            workflow_id="lab",
            persona_id="p1",
            score=99,
            reason="r",
            tactic=tactic,
        )
        assert [breakthroughs.create_breakthrough(session, found) for _ in range(2)] == [
            True,
            False,
        ]
        for status in ("rejected", "pending_review", "reviewed"):
            moved = breakthroughs.review_breakthrough(session, "x", status, by="ann", reason="why")
        assert [review.status for review in moved.reviews] == [
            *("rejected", "pending_review", "reviewed")
        ]
        assert breakthroughs.read_breakthroughs(session, status="reviewed") == [moved]


def test_reviews_refuse_what_may_not_follow(db: Database) -> None:
    with db.writing() as session, pytest.raises(NotFoundError):
        breakthroughs.review_breakthrough(session, "nothing", "reviewed", by="ann")
    with db.writing() as session, pytest.raises(BadInputError):
        breakthroughs.review_breakthrough(session, "nothing", "promoted", by="ann")


def test_the_newest_ratings_are_read(db: Database) -> None:
    with db.writing() as session:
        for batch, points in (("b1", 900.0), ("b2", 1100.0)):
            add_batch(session, batch)
            rated = [Rating("agent", "seed", points, points - 1, points + 1, 3)]
            ratings.create_ratings(session, "lab", batch, rated)
    with db.reading() as session:
        assert [r.rating for r in ratings.read_ratings(session, "lab")] == [1100]
        assert [r.rating for r in ratings.read_ratings(session, "lab", batch_id="b1")] == [900]


def test_a_message_is_claimed_once_and_again_when_it_failed(db: Database) -> None:
    def claim() -> bool:
        with db.writing() as session:
            return notifications.create_notification(session, "k", "batch", {"text": "t"})

    def end(*, sent: bool) -> None:
        with db.writing() as session:
            notifications.update_notification(
                session, "k", sent=sent, error=None if sent else "why"
            )

    assert [claim(), claim()] == [True, False]
    end(sent=False)
    with db.reading() as session:
        (failed,) = notifications.read_untold(session)
        assert (failed["error"], failed["attempts"]) == ("why", 1)
    assert claim()
    end(sent=True)
    assert not claim()


def test_a_message_whose_teller_died_is_told_by_another(db: Database) -> None:
    with db.writing() as session:
        notifications.create_notification(session, "k", "batch", {"text": "t"})
        long_ago = datetime.now(UTC) - timedelta(minutes=2)
        session.execute(update(message_rows).values(created_at=long_ago))
        assert [row["key"] for row in notifications.read_untold(session)] == ["k"]
        assert notifications.create_notification(session, "k", "batch", {"text": "t"})
