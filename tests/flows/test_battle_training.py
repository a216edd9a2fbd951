"""The same own agent in `train`, on battles, and in `battle`: what it learns is what fights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cornerman.cli.commands.export import export_run
from cornerman.cli.output import Out
from cornerman.cli.workflow_files import training_on_battles
from cornerman.domain.battles.workflows import parse_workflow
from cornerman.domain.errors import BadInputError, JudgeRefusedError, NotFoundError
from cornerman.domain.personas import Persona
from cornerman.domain.training import TrainParameters
from cornerman.domain.training.retrain import RetrainParameters
from cornerman.flows.retrain import retrain
from cornerman.flows.train import train_workflow
from cornerman.storage.events import read_events
from cornerman.storage.runs import read_run
from cornerman.tasks.battle_agent import ENTRYPOINT, SCORE, battle_case
from tests.flows.test_battle_breakthroughs import TACTIC, best, promote, review, teach
from tests.flows.test_battle_own_agents import own, uses_tools  # noqa: F401
from tests.support.battle_arena import WORKFLOW, Arena, Request, lab_workflow

OPTIMIZER = {"epochs": 2, "proposals": 1, "minibatch_size": 3, "case_timeout_seconds": 60}


def asks_more(request: Request) -> float:
    """An agent with the better prompt sells for more."""
    return 190 if "well" in str(request["messages"][0]) else 150


def trained_on(arena: Arena, **training: Any) -> TrainParameters:
    """The training run that the stored workflow's file asks for."""
    from cornerman.storage.workflows import read_workflow

    with arena.db.reading() as session:
        stored = yaml.safe_load((read_workflow(session, WORKFLOW) or {})["battle"])
    stored["training"] = {"optimizer": OPTIMIZER} | training
    spec = training_on_battles(stored, "lab.yaml")
    return TrainParameters.model_validate(spec | {"run_id": "t1"})


async def test_an_agent_with_tools_is_trained_on_battles_and_fights_with_what_it_learned(
    arena: Arena,
    own: Callable[..., None],  # noqa: F811
) -> None:
    own("graph")
    arena.script.override, arena.script.price = uses_tools, asks_more
    before = await arena.batch(run_id="b1", batch_size=3, confirm_breakthroughs=False)
    result = await train_workflow(trained_on(arena))
    assert result["status"] == "completed" and result["cases"]["errored"] == 0
    assert (result["seed_score"], result["notes"]) == (0.5, [])
    output = next(line["output"] for line in result["results"] if line["score"] is not None)
    assert output["turns"][1]["tool_calls"][0]["name"] == "price_of"
    # What the optimizer reads names no run, or no two runs of one seed would be alike.
    assert '"t1"' not in json.dumps(output)
    assert best(arena).prompts["system"].text == "You sell a chair well."
    after = await arena.batch(run_id="b2", batch_size=3, repeat_of="b1")
    assert (before["averageScore"], after["averageScore"]) == (50, 90)
    assert after["agentVersion"] == f"v{best(arena).config_version}"
    arena.check_books()


async def test_a_batch_that_repeats_another_meets_the_same_people_by_the_same_seeds(
    arena: Arena,
) -> None:
    await arena.batch(run_id="b1", batch_size=3, confirm_breakthroughs=False)
    result = await arena.batch(run_id="b2", repeat_of="b1", confirm_breakthroughs=False)
    first, second = arena.battles("b1"), arena.battles("b2")
    assert [(b.persona_id, b.seed, b.scenario_id) for b in first] == [
        (b.persona_id, b.seed, b.scenario_id) for b in second
    ]
    against = result["metrics"]["against"]
    assert (against["batch_id"], against["average_score"]) == ("b1", 50)
    assert against["change"]["mean"] == 0 and against["change"]["n"] == 3
    assert against["unchanged"] is True
    assert {b.id for b in first}.isdisjoint(b.id for b in second)


@pytest.mark.parametrize("named", ["nothing", "t9"])
async def test_a_batch_that_is_not_there_cannot_be_repeated(arena: Arena, named: str) -> None:
    with pytest.raises(NotFoundError, match="repeat_of"):
        await arena.batch(run_id="b2", repeat_of=named)


async def test_a_tactic_of_an_own_agents_battle_is_tried_with_that_agent(
    arena: Arena,
    own: Callable[..., None],  # noqa: F811
) -> None:
    own("with_tools")
    arena.script.override = uses_tools
    teach(arena, 60)
    await arena.batch(run_id="b1", batch_size=2, confirm_breakthroughs=False)
    asked = arena.calls(role="agent")
    told = await promote(review(arena))
    assert told["status"] == "promoted", told
    assert TACTIC in best(arena).prompts["system"].text
    # Two calls a turn, as in a batch: the tool's and the line's.
    assert arena.calls(role="agent") - asked >= 2 * 2 * 10
    arena.check_books()


async def test_the_night_trains_an_own_agent_on_its_battles_again(
    arena: Arena,
    own: Callable[..., None],  # noqa: F811
) -> None:
    own("text")
    arena.script.price = asks_more
    await train_workflow(trained_on(arena))
    told = await retrain(RetrainParameters(workflow_ids=[WORKFLOW], force=True, epochs=1))
    (night,) = told["workflows"]
    assert night["decision"] == "kept" and night["run_id"]
    run = arena.run(night["run_id"])
    assert run.status == "completed"


async def test_a_version_that_got_worse_is_told_of_an_own_agent_too(
    arena: Arena,
    own: Callable[..., None],  # noqa: F811
) -> None:
    own("text")
    arena.script.price = asks_more
    await arena.batch(run_id="b1", batch_size=10, confirm_breakthroughs=False)
    await train_workflow(trained_on(arena))
    arena.script.price = lambda request: 110
    result = await arena.batch(run_id="b2", repeat_of="b1", confirm_breakthroughs=False)
    worse = result["metrics"]["regression"]
    assert worse is not None and worse["difference"] < 0 and worse["previous"] == "seed"


async def test_a_case_that_names_an_address_of_its_own_is_refused(arena: Arena) -> None:
    spec = trained_on(arena).model_dump(mode="json")

    strange = yaml.safe_load(lab_workflow()) | {"agent": {"http": {"url": "http://127.0.0.1:9/"}}}
    workflow = parse_workflow(yaml.safe_dump(strange))
    person = Persona(id="p", name="P", system_prompt="You are P.")
    case = {"inputs": battle_case(workflow, person, 1)}
    spec["dataset"] = {"cases": [case] * 3}
    before = arena.server.total
    with pytest.raises(BadInputError, match="names an address"):
        await train_workflow(TrainParameters.model_validate(spec | {"run_id": "t2"}))
    assert arena.server.total == before


async def test_battles_that_were_lost_are_trained_on(arena: Arena, tmp_path: Path) -> None:
    arena.script.price = asks_more
    await arena.batch(run_id="b1", batch_size=3, confirm_breakthroughs=False)
    path = tmp_path / "lost.jsonl"
    export_run(Out(as_json=False), "b1", path, failed=True, below=60, candidate=None)
    assert len(path.read_text().splitlines()) == 3
    result = await train_workflow(
        TrainParameters.model_validate(
            {
                "run_id": "t1",
                "workflow_id": WORKFLOW,
                "graph_config": {"entrypoint": ENTRYPOINT},
                "dataset": {"path": str(path)},
                "evaluators": [{"id": "battle", "entrypoint": SCORE}],
                "optimizer": OPTIMIZER,
                "prompts": {"system": {"text": "You sell a chair.", "requires_grad": True}},
            }
        )
    )
    assert result["cases"]["scored"] > 0 and result["cases"]["errored"] == 0
    assert result["seed_score"] == 0.5


async def test_a_referee_that_people_do_not_agree_with_holds_no_battle(
    arena: Arena, tmp_path: Path
) -> None:
    talk = [{"speaker": "persona", "text": "How much?"}, {"speaker": "agent", "text": "Ten."}]
    rows = [{"turns": talk, "label": n % 2} for n in range(12)]
    file = tmp_path / "talks.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(JudgeRefusedError, match=r"kappa with people's labels is 0\.00"):
        await train_workflow(trained_on(arena, judge={"calibration": str(file)}))
    with arena.db.reading() as session:
        found = [event.event for event in read_events(session, "t1")]
        stored = read_run(session, "t1")
    assert found[0] == "judge_checked" and "training_progress" not in found
    assert stored is not None and stored.status == "failed" and stored.result is not None
    assert stored.result["judge"]["judge"]["referee"] == WORKFLOW
    arena.check_books()
