"""Rows as a training run and four batches leave them, one transcript hostile."""

from __future__ import annotations

from typing import Any

from cornerman.domain.battles import Battle, Evaluated, Outcome, SubScore, ToolCall, Turn
from cornerman.domain.battles.breakthroughs import Breakthrough, Tactic
from cornerman.domain.battles.ratings import rate
from cornerman.domain.runs import NewEvent
from cornerman.domain.training.candidates import Candidate, NewCheckpoint, Prompt
from cornerman.domain.training.cases import Case, CaseResult
from cornerman.domain.training.evaluation import Column
from cornerman.personas import builtin_personas
from cornerman.storage import (
    battles,
    breakthroughs,
    cases,
    checkpoints,
    events,
    personas,
    ratings,
    runs,
    workflows,
)
from cornerman.workflows import builtin_workflow

WORKFLOW = "negotiation"
HOSTILE = "battle-hostile"
SCRIPT = "<script>window.hacked = true</script>\"'><img src=x onerror='window.hacked = true'>"
OVERRIDE = "\u202egnp.exe\u202c"
HEBREW = "שלום, המחיר גבוה מדי."
LONG = "x" * 1_000_000
_SAID = ("What is the lowest you would take?", "Four hundred, with the receipt and the lock.")
_TOOLS = (
    ToolCall(name="look_up", arguments={"item": SCRIPT}, result="in stock"),
    ToolCall(name="pay", arguments="{broken", error="Error: no funds"),
)
_AFTER = "Sell the item. Give a reason with every price.\nNever go below the limit."


def fill(session: Any) -> None:
    """Write everything."""
    workflows.create_workflow(session, WORKFLOW)
    personas.create_personas(session, builtin_personas(WORKFLOW))
    fill_training(session)
    held: list[Battle] = []
    for number in range(4):
        held += _batch(session, number)
        ratings.create_ratings(session, WORKFLOW, f"batch-{number}", rate(held, resamples=20))
    _hostile(session)
    _breakthrough(session, held[0])
    fill_evaluation(session)


def fill_evaluation(session: Any) -> None:
    """Write an evaluation of two columns that differ on one of three cases, below its bar."""
    columns = [
        Column("c0", None, None, "gpt-4o-mini", against="c1"),
        Column("c1", "checkpoint-1", None, "gpt-4o-mini", judged=False),
    ]
    named = [column.as_dict() for column in columns]
    request = {"columns": named, "not_worse_than": "best", "split": "all"}
    _run(session, "evaluate-sample", "evaluate", request)
    runs.update_run_metrics(session, "evaluate-sample", {"cases_total": 6})
    for place, scores in enumerate(((1.0, 1.0), (0.0, 1.0), (0.5, 0.5))):
        case = Case(f"case-{place}", place, {"message": f"{SCRIPT} {place}"}, "delivery")
        for column, score in zip(columns, scores, strict=True):
            prompts = {"system": Prompt(text="Sell.")}
            cases.create_candidate(
                session, "evaluate-sample", Candidate(id=column.id, prompts=prompts)
            )
            held = CaseResult(case, column.id, "train", 1, "scored", score, output=SCRIPT)
            cases.create_case_result(session, "evaluate-sample", held)
    below = f"{columns[0].name}: worse than {columns[1].name} by -0.3333"
    pair = [{"model": c.model, "checkpoint": c.checkpoint} for c in columns]
    change = {"mean": -0.3333, "low": -0.6, "high": -0.1, "n": 3}
    lines = [
        column.as_dict()
        | {"score": {"value": value, "low": value - 0.2, "high": value + 0.1, "n": 3}}
        | {"config_version": None, "summary": {}, "below": {}}
        for column, value in zip(columns, (0.5, 0.8333), strict=True)
    ]
    lines[0]["below"] = {"not_worse_than": below}
    result = {
        "columns": lines,
        "comparisons": [{"before": pair[1], "after": pair[0], **change}],
        "passed": False,
        "failures": [below],
    }
    runs.finish_run(session, "evaluate-sample", status="completed", result=result)


def fill_training(session: Any, epochs: int = 3) -> None:
    """Write a training run alone; its last epoch's rewrite was rejected."""
    workflows.create_workflow(session, WORKFLOW)
    _run(session, "train-sample", "train", {"optimizer": {"epochs": epochs}})
    for epoch in range(1, epochs + 1):
        score = 0.5 if epoch == 1 else 0.7
        interval = {"value": score, "low": score - 0.1, "high": score + 0.1, "n": 30}
        facts = {"epoch": epoch, "score": score - 0.05, "validation_score": score}
        facts |= {
            "validation_interval": interval,
            "accepted": epoch < epochs,
            "reason": "",
            "summary": {},
        }
        _say(session, "train-sample", "training_epoch_complete", facts | {"cost_usd": 0.01 * epoch})
    case = {"case_index": 0, "case_id": "late-parcel", "epoch": epochs, "status": "scored"}
    case |= {"inputs": {"message": "Where is it?"}, "evaluations": {"exact": {"score": 1.0}}}
    _say(session, "train-sample", "training_progress", case)
    for version, text in enumerate(("Sell the item.", _AFTER), start=1):
        _checkpoint(session, version, text, 0.5 + 0.2 * (version - 1))
    runs.finish_run(session, "train-sample", status="completed")


def _checkpoint(session: Any, number: int, text: str, score: float) -> None:
    new = NewCheckpoint(
        id=f"checkpoint-{number}",
        workflow_id=WORKFLOW,
        runnable_config={"prompts": {"agent": {"text": text, "requires_grad": True}}},
        metrics={"validation_score": score},
        metadata={"run_id": "train-sample", "simulated": True, "dataset_fingerprint": "f"},
    )
    checkpoints.create_checkpoint(session, new)


def _batch(session: Any, number: int) -> list[Battle]:
    batch_id = f"batch-{number}"
    _run(session, batch_id, "battle", {"batch_size": 3})
    met = builtin_personas(WORKFLOW)[:3]
    held = [
        _battle(session, batch_id, place, 30 + 20 * place + number) for place in range(len(met))
    ]
    runs.finish_run(session, batch_id, status="completed")
    return held


def _battle(session: Any, batch_id: str, place: int, score: float, **facts: Any) -> Battle:
    persona = builtin_personas(WORKFLOW)[place]
    scenario = persona.scenario or builtin_workflow(WORKFLOW).scenarios[0]
    cited = SubScore(
        name="value_claimed", score=score, turn=1, evidence="the receipt", evidence_ok=True
    )
    invented = SubScore(name="rapport", score=40, turn=0, evidence="my dear friend")
    price = Outcome(
        kind="deal", agreed_price=400, agent_utility=0.5, persona_utility=0.5, score=score
    )
    battle = Battle(
        id=facts.pop("id", f"{batch_id}-{place}"),
        batch_id=batch_id,
        persona_id=persona.id,
        position=place,
        status="scored",
        score=score,
        sub_scores=(cited, invented),
        rationale="It gave a reason with each price.",
        outcome=price,
        ended_by="goal_reached",
        evaluations={"looked": Evaluated(score=1, reason="it looked <b>twice</b>")},
        simulated=True,
    )
    battles.create_battle(session, battle, persona, scenario)
    for index, text in enumerate(facts.pop("said", _SAID)):
        speaker = "agent" if index % 2 else "persona"
        tools = _TOOLS if speaker == "agent" else ()
        turn = Turn(index=index, speaker=speaker, text=text, tool_calls=tools)
        battles.create_turn(session, battle.id, turn)
    return battle


def _hostile(session: Any) -> None:
    _run(session, "batch-hostile", "battle", {})
    said = (SCRIPT, OVERRIDE, HEBREW, LONG)
    _battle(session, "batch-hostile", 3, 10, id=HOSTILE, said=said)
    runs.finish_run(session, "batch-hostile", status="completed")


def _breakthrough(session: Any, battle: Battle) -> None:
    tactic = Tactic(
        title="Reasons first", tactic="Give a reason.", defining_turn=1, snippet="the receipt"
    )
    found = Breakthrough(
        id="breakthrough-1",
        battle_id=battle.id,
        batch_id=battle.batch_id,
        workflow_id=WORKFLOW,
        persona_id=battle.persona_id,
        score=96,
        reason="score 96.0 is at least 95",
        tactic=tactic,
        simulated=True,
    )
    breakthroughs.create_breakthrough(session, found)


def _run(session: Any, run_id: str, kind: Any, request: dict[str, Any]) -> None:
    runs.create_run(
        session,
        run_id=run_id,
        kind=kind,
        workflow_id=WORKFLOW,
        request=request,
        random_state={},
        simulated=True,
    )
    runs.claim_run(session, run_id, "tests:1:x")


def _say(session: Any, run_id: str, event: str, payload: dict[str, Any]) -> None:
    events.create_event(session, run_id, NewEvent("agentensor_trainer", event, payload))
