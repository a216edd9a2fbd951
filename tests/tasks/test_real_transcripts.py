"""The published airline tasks and transcripts: parsed, shown, and checked as their authors did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cornerman.domain.battles import Battle
from cornerman.domain.personas import Persona, Scenario
from cornerman.domain.referee.transcripts import fenced_transcript, turns_of
from cornerman.domain.training.cases import EvaluationContext
from cornerman.evaluators.tool_calls import ToolCalls
from cornerman.tasks.report_battles import card_of

CHANGING = (
    "book_reservation",
    "cancel_reservation",
    "send_certificate",
    "update_reservation_baggages",
    "update_reservation_flights",
    "update_reservation_passengers",
)


def transcripts(data: Path) -> list[dict[str, Any]]:
    return json.loads((data / "tau" / "gpt4o_airline_transcripts.json").read_text())


def test_every_call_and_result_stands_in_a_turn_and_before_the_referee(shared_data: Path) -> None:
    for row in transcripts(shared_data):
        turns = turns_of(row["traj"])
        asked = sum(len(m.get("tool_calls") or ()) for m in row["traj"])
        calls = [call for turn in turns for call in turn.tool_calls]
        assert len(calls) == asked
        assert all(call.result is not None or call.error for call in calls)
        shown = fenced_transcript(turns, {"agent": "A", "persona": "B"}, 1)
        assert all(f'"name": "{call.name}"' in shown for call in calls[:40])


def test_they_are_shown_in_the_report(shared_data: Path) -> None:
    row = transcripts(shared_data)[0]
    battle = Battle(id="b", batch_id="x", persona_id="p", turns=turns_of(row["traj"]))
    card = card_of(battle, {})
    tools = [tool.name for turn in card.turns for tool in turn.tools]
    asked = [call for m in row["traj"] for call in m.get("tool_calls") or ()]
    assert tools == [call["function"]["name"] for call in asked]


def test_the_50_airline_scenarios_are_personas_with_what_is_expected(shared_data: Path) -> None:
    tasks = json.loads((shared_data / "tau" / "airline_tasks.json").read_text())
    people = [
        Persona(
            id=f"airline-{task['id']}",
            name=f"Traveller {task['id']}",
            system_prompt="You are: " + str(task["user_scenario"]["instructions"]["known_info"]),
            scenario=Scenario(
                id=task["id"],
                description="A customer calls an airline.",
                agent_goal="Help within policy.",
                persona_goal=str(task["user_scenario"]["instructions"]["reason_for_call"]),
                expected={
                    "tool_calls": task["evaluation_criteria"]["actions"],
                    "said": task["evaluation_criteria"]["communicate_info"],
                },
            ),
        )
        for task in tasks
    ]
    assert len(people) == 50
    again = [Persona.model_validate(person.model_dump(mode="json")) for person in people]
    assert again == people


def test_the_check_agrees_with_the_published_rewards(shared_data: Path) -> None:
    check, agreed = ToolCalls(changing=CHANGING), 0
    rows = transcripts(shared_data)
    for row in rows:
        task, turns = row["info"]["task"], turns_of(row["traj"])
        calls = [call.model_dump() for turn in turns for call in turn.tool_calls]
        output = {"turns": [turn.model_dump() for turn in turns], "tool_calls": calls}
        actions = [{"name": a["name"], "arguments": a["kwargs"]} for a in task["actions"]]
        wanted = [action for action in actions if action["name"] in CHANGING]
        expected = {"tool_calls": wanted, "said": task["outputs"]}
        score = check(EvaluationContext({}, output, expected, {}, 0.0))
        agreed += (score.value == 1) == (row["reward"] == 1)
    # 191 of 200: theirs compares the whole database, ours the calls that change it.
    assert len(rows) == 200 and agreed >= 191
