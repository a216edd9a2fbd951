"""Rows that stand for what runs would have stored."""

from __future__ import annotations

from cornerman.domain.battles import Battle, Turn
from cornerman.domain.battles.breakthroughs import Breakthrough
from cornerman.domain.battles.tactics import Tactic
from cornerman.domain.personas import Persona, Scenario
from cornerman.domain.training.candidates import NewCheckpoint
from cornerman.storage import battles, breakthroughs, checkpoints, workflows
from cornerman.storage.database import Database
from tests.gateway.serving import new_run


def a_checkpoint(n: int, workflow: str = "support", run_id: str = "r") -> NewCheckpoint:
    """The nth checkpoint, a little better than the one before."""
    prompts = {"system": {"text": f"Answer {n}.", "requires_grad": True}}
    return NewCheckpoint(
        id=f"c{n}",
        workflow_id=workflow,
        runnable_config={"prompts": prompts},
        metrics={"validation_score": n / 100},
        metadata={"run_id": run_id, "dataset_fingerprint": "f"},
    )


def store_checkpoints(db: Database, count: int) -> None:
    """Checkpoints of `support` by two runs, one of `other`, and a workflow without any."""
    with db.writing() as session:
        workflows.create_workflow(session, "empty")
        for n in range(1, count + 1):
            checkpoints.create_checkpoint(session, a_checkpoint(n, run_id=f"r{n % 2}"))
        checkpoints.create_checkpoint(session, a_checkpoint(99, workflow="other"))


def fought(db: Database, batch_id: str = "batch") -> None:
    """A running batch with two scored battles and a breakthrough."""
    new_run(db, batch_id, kind="battle", workflow="negotiation")
    persona = Persona(id="p", name="<b>Ann</b>", system_prompt="Be Ann.")
    scenario = Scenario(id="s", description="d", agent_goal="a", persona_goal="p")
    turn = Turn(index=0, speaker="agent", text="<script>x</script>")
    with db.writing() as session:
        for n, score in enumerate((70.0, 98.0)):
            battle = Battle(
                id=f"b{n}",
                batch_id=batch_id,
                persona_id="p",
                position=n,
                status="scored",
                score=score,
                turns=(turn,),
            )
            battles.create_battle(session, battle, persona, scenario)
            battles.create_turn(session, battle.id, turn)
        tactic = Tactic(title="t", tactic="x", defining_turn=0, snippet="x")
        found = Breakthrough(
            id="bt",
            battle_id="b1",
            batch_id=batch_id,
            workflow_id="negotiation",
            persona_id="p",
            score=98.0,
            reason="r",
            tactic=tactic,
        )
        breakthroughs.create_breakthrough(session, found)
