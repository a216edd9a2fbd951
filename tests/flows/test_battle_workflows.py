"""Battles of workflows that are not built in, and the personas that come with those that are."""

from __future__ import annotations

import yaml

from cornerman.domain.personas import Persona, Scenario
from cornerman.domain.training.candidates import NewCheckpoint
from cornerman.storage.checkpoints import create_checkpoint
from cornerman.storage.personas import count_personas, create_personas
from cornerman.storage.workflows import create_workflow
from tests.support.battle_arena import Arena, lab_workflow, verdict
from tests.support.llm_standin import Reply

GENERIC = ("goal", "understanding", "correctness", "composure", "manner")
SCENE = Scenario(
    id="lost-key",
    description="A guest has lost a key.",
    agent_goal="Let the right person in.",
    persona_goal="Get into your room.",
)


def trained(arena: Arena, people: list[Persona]) -> None:
    """A workflow of which only a checkpoint and its personas are known."""
    prompts = {"reception": {"text": "You work at a hotel desk.", "requires_grad": True}}
    new = NewCheckpoint(
        "c1", "hotel", {"prompts": prompts}, {"validation_score": 0.5}, {"run_id": "t"}
    )
    with arena.db.writing() as session:
        create_workflow(session, "hotel")
        create_checkpoint(session, new)
        create_personas(session, people)


def talk(arena: Arena) -> None:
    def answer(request: dict, n: int) -> Reply:
        if request["model"] == "referee-m":
            text = verdict(80)
            for old, new in zip(("price_held", "manner"), GENERIC, strict=False):
                text = text.replace(f'"{old}"', f'"{new}"', 1)
            more = ", ".join(
                f'{{"name": "{name}", "score": 80, "turn": 1, "evidence": ""}}'
                for name in GENERIC[2:]
            )
            return Reply(text=text.replace('"sub_scores": [', f'"sub_scores": [{more}, '))
        said = len(request["messages"])
        if request["model"] == "persona-m":
            return Reply(text="Hello, I lost my key." if said < 3 else "Thanks! [GOAL REACHED]")
        return Reply(text="Here is a new one.")

    arena.script.override = answer


async def test_a_workflow_known_by_its_training_alone_can_battle(arena: Arena) -> None:
    guest = Persona(
        id="g1", name="Guest", system_prompt="You are a guest.", workflow_id="hotel", scenario=SCENE
    )
    trained(arena, [guest])
    talk(arena)
    result = await arena.batch(workflow_id="hotel")
    (battle,) = arena.battles(result["batchId"])
    assert (battle.status, battle.score, battle.ended_by) == ("scored", 80, "goal_reached")
    assert (battle.scenario_id, battle.agent_version) == ("lost-key", "v1")
    assert {sub.name for sub in battle.sub_scores} == set(GENERIC)
    played = next(r.body for r in arena.server.requests if r.body["model"] == "agent-m")
    assert played["messages"][0]["content"].startswith("You work at a hotel desk.")


async def test_a_workflows_own_turn_limit_holds_unless_another_is_asked_for(arena: Arena) -> None:
    brief = yaml.safe_load(lab_workflow()) | {"limits": {"turn_limit": 2, "referee_max_tokens": 99}}
    with arena.db.writing() as session:
        create_workflow(session, "lab", {"battle": yaml.safe_dump(brief)})
    for asked, turns in ((None, 2), (4, 4)):
        arena.script.override = lambda request, n: (
            Reply(text=f"Tell me more of matter {n}.") if request["model"] != "referee-m" else None
        )
        result = await arena.batch(batch_size=1, turn_limit=asked)
        (battle,) = arena.battles(result["batchId"])
        assert (len(battle.turns), battle.ended_by) == (turns, "turn_limit")
    judged = [r.body for r in arena.server.requests if r.body["model"] == "referee-m"]
    assert {body["max_tokens"] for body in judged} == {99}


async def test_its_personas_may_come_without_a_scenario(arena: Arena) -> None:
    trained(arena, [Persona(id="g1", name="Guest", system_prompt="A guest.", workflow_id="hotel")])
    talk(arena)
    result = await arena.batch(workflow_id="hotel")
    assert arena.battles(result["batchId"])[0].scenario_id == "open-talk"


async def test_built_in_workflows_bring_their_personas(arena: Arena) -> None:
    arena.script.override = lambda request, n: Reply(text="[WALK AWAY]")
    for workflow, count in (("negotiation", 24), ("support", 12)):
        await arena.batch(workflow_id=workflow, batch_size=1)
        with arena.db.reading() as session:
            assert count_personas(session, workflow) == count
