"""What a batch's report is made of: its own battles, and history of the same kind."""

from __future__ import annotations

from typing import Any

from cornerman.domain.battles import Battle, Outcome, SubScore
from cornerman.domain.battles.breakthroughs import Breakthrough, Tactic
from cornerman.domain.personas import Persona, Scenario
from cornerman.report import render_report
from cornerman.report.model import BattleSection
from cornerman.storage import battles, breakthroughs, runs, workflows
from cornerman.storage.database import Database
from cornerman.tasks.report import build_report

SCENARIO = Scenario(id="s", description="d", agent_goal="a", persona_goal="p")


def hold(db: Database, batch_id: str, *, simulated: bool = False, **facts: Any) -> None:
    """Store a batch of one battle."""
    persona = Persona(id="p1", name="Pat", system_prompt="You are Pat.", workflow_id="lab")
    values = {
        "status": "scored",
        "sub_scores": (SubScore(name="manner", score=facts["score"]),),
        "persona_id": "p1",
        "workflow_id": "lab",
        **facts,
    }
    with db.writing() as session:
        workflows.create_workflow(session, "lab")
        runs.create_run(
            session,
            run_id=batch_id,
            kind="battle",
            workflow_id="lab",
            request={},
            random_state={},
            simulated=simulated,
        )
        held = Battle(id=f"{batch_id}-1", batch_id=batch_id, simulated=simulated, **values)
        battles.create_battle(session, held, persona, SCENARIO)


async def section(db: Database, batch_id: str) -> BattleSection:
    found = (await build_report(db, batch_id)).battles
    assert found is not None
    return found


async def test_difficulty_is_of_all_rated_battles_of_the_same_kind(sqlite_db: Database) -> None:
    hold(sqlite_db, "b1", score=40.0)
    hold(sqlite_db, "b2", score=60.0)
    hold(sqlite_db, "b3", score=100.0, simulated=True)
    hold(sqlite_db, "b4", score=100.0, spoiled=True)
    (row,) = (await section(sqlite_db, "b1")).difficulty
    assert (row.persona_name, row.mean_score, row.battles) == ("Pat", 50, 2)
    assert row.metrics == {"manner": 50}
    (simulated,) = (await section(sqlite_db, "b3")).difficulty
    assert (simulated.mean_score, simulated.battles) == (100, 1)


async def test_a_computed_score_stands_beside_what_the_referees_said(sqlite_db: Database) -> None:
    outcome = Outcome(
        kind="no_deal", agreed_price=None, agent_utility=0, persona_utility=0, score=0
    )
    facts = {"judged_scores": (88.0, 84.0), "fidelity": 0.9, "rationale": "Calm throughout."}
    hold(sqlite_db, "b1", score=0.0, outcome=outcome, ended_by="walk_away", **facts)
    (card,) = (await section(sqlite_db, "b1")).battles
    assert (card.outcome, card.ended_by, card.computed) == ("no deal", "walk away", True)
    page = render_report(await build_report(sqlite_db, "b1"))
    assert "88, 84; the score is computed from the price" in page
    assert "90%" in page and "Calm throughout." in page


async def test_says_how_a_batch_was_chosen_and_whether_its_version_is_worse(
    sqlite_db: Database,
) -> None:
    hold(sqlite_db, "b1", score=50.0)
    worse = {"previous": "v1", "difference": -9.0, "low": -15.0, "high": -3.0}
    agreement = {"n": 5, "mean_difference": 3.0, "within_10": 1.0}
    with sqlite_db.writing() as session:
        figures = {"policy": "hardest", "regression": worse, "referee_agreement": agreement}
        runs.update_run_metrics(session, "b1", figures)
    remarks = " ".join((await section(sqlite_db, "b1")).remarks)
    assert "does worst against" in remarks and "-9.0 points (95%: -15.0 to -3.0)" in remarks
    assert "3.0 points apart on average, 100% within 10" in remarks


async def test_says_whether_re_runs_confirmed_a_breakthrough(sqlite_db: Database) -> None:
    hold(sqlite_db, "b1", score=100.0)
    tactic = Tactic(title="Wait", tactic="Wait first.", defining_turn=1, snippet="…")
    found = Breakthrough(
        id="x",
        battle_id="b1-1",
        batch_id="b1",
        workflow_id="lab",
        persona_id="p1",
        score=100,
        reason="score",
        tactic=tactic,
        confirmed=False,
        confirming_scores=(10.0, 20.0),
    )
    with sqlite_db.writing() as session:
        breakthroughs.create_breakthrough(session, found)
    assert "Not confirmed by re-runs that scored 10, 20" in render_report(
        await build_report(sqlite_db, "b1")
    )
