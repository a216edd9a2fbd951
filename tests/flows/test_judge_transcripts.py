"""Judges before 200 real conversations with a known reward, as a referee and as `llm_judge`.

The stand-in knows the rewards and gets some of them wrong on purpose, so these figures show that
what is measured is right, and nothing about a model.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cornerman.domain.battles.workflows import Criterion, Rubric, Workflow
from cornerman.domain.errors import JudgeRefusedError
from cornerman.domain.judges.agreement import judge_agreement
from cornerman.domain.referee.transcripts import support_scenario, turns_of
from cornerman.flows.judge_check import JudgeCheck, check_judge
from tests.support.judging import write_labels
from tests.support.llm_standin import LLMStandin, Reply
from tests.support.training import World, climb, request_of

AIRLINE = Workflow(
    id="airline",
    name="Airline support",
    rubric=Rubric(
        task="Judge whether support did exactly what the customer wanted, by the policy.",
        criteria=(Criterion(name="right_changes", description="All were made, no others."),),
    ),
    scenarios=(support_scenario("any", [], ""),),
)


@pytest.fixture(scope="module")
def rows(shared_data: Path) -> list[dict[str, Any]]:
    """The transcripts; skipped where the data is absent."""
    path = shared_data / "tau" / "gpt4o_airline_transcripts.json"
    if not path.is_file():
        pytest.skip(f"no transcripts at {path}")
    return json.loads(path.read_text(encoding="utf-8"))


def marked(row: dict[str, Any]) -> str:
    return f"[talk {row['task_id']}-{row['trial']}]"


class Knowing:
    """Answers with a talk's reward, but for every `misses`th with the opposite."""

    def __init__(self, rows: list[dict[str, Any]], misses: int) -> None:
        self.given = {
            marked(row): float(row["reward"] >= 1) if n % misses else 1 - float(row["reward"] >= 1)
            for n, row in enumerate(rows)
        }

    def __call__(self, request: dict[str, Any], n: int) -> Reply:
        said = "\n".join(str(message["content"]) for message in request["messages"])
        talk = re.search(r"\[talk \d+-\d+\]", said)
        if talk is None:
            return climb(request, n)
        score = self.given[talk[0]]
        if "strict, fair referee" not in said:
            return Reply(text=json.dumps({"reason": "seen", "score": score}))
        line = {"name": "right_changes", "score": 100 * score, "turn": 0, "evidence": ""}
        verdict = {"score": 100 * score, "sub_scores": [line], "rationale": "seen"}
        return Reply(text=json.dumps(verdict))


async def test_the_referee_on_all_of_them(world: World, rows: list[dict[str, Any]]) -> None:
    cases = [
        {
            "id": marked(row),
            "messages": row["traj"],
            "scenario": support_scenario(
                marked(row), row["traj"], f"{marked(row)} {row['info']['task']['instruction']}"
            ).model_dump(mode="json"),
            "label": row["reward"],
        }
        for row in rows
    ]
    file = Path(write_labels(world.folder, cases))
    knowing = Knowing(rows, misses=10)
    async with LLMStandin(knowing) as server:
        world.use_model(server.base_url)
        check = JudgeCheck(file=file, workflow_id="airline", workflow=AIRLINE, min_kappa=0.6)
        found = await check_judge(check)
        again = await check_judge(check)
        assert server.total == 200
    labels = [float(row["reward"]) for row in rows]
    wanted = judge_agreement(labels, list(knowing.given.values()), (0.0, 1.0))
    assert (found["scored"], found["unscored"], found["passed"]) == (200, 0, True)
    assert found["agreement"]["value"] == 0.9
    assert (
        found["kappa"]["value"]
        == pytest.approx(wanted.kappa.value)
        == pytest.approx(0.795, abs=0.01)
    )
    assert found["confusion"] == [list(row) for row in wanted.confusion]
    assert len(found["differences"]) == 20
    assert again["remembered"] == 200 and again["cost_usd"] == 0 < found["cost_usd"]
    assert again["kappa"] == found["kappa"]


async def test_training_is_refused_on_a_judge_that_misses_every_third(
    world: World, rows: list[dict[str, Any]]
) -> None:
    some = rows[:60]
    cases = [
        {
            "inputs": {"wish": f"{marked(row)} {row['info']['task']['instruction']}"},
            "output": "\n".join(f"{t.speaker}: {t.text}" for t in turns_of(row["traj"])),
            "label": row["reward"],
        }
        for row in some
    ]
    file = write_labels(world.folder, cases)
    rubric = {"rubric": "Support did what the customer wanted, by the policy."}
    request = request_of(
        4,
        evaluators=[
            {"id": "right", "entrypoint": "exact_match"},
            {"id": "served", "entrypoint": "llm_judge", "config": rubric},
        ],
        judge={"calibration": file, "min_kappa": 0.6},
    )
    async with LLMStandin(Knowing(some, misses=3)) as server:
        world.use_model(server.base_url)
        with pytest.raises(JudgeRefusedError, match=r"is 0\.[23]\d .*60 cases"):
            await world.train(request)
        assert server.total == 60
    async with LLMStandin(Knowing(some, misses=12)) as server:
        world.use_model(server.base_url)
        result = await world.train(request, run_id="r2")
    assert result["status"] == "completed" and result["judge"]["kappa"]["value"] > 0.8
