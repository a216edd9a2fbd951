"""`cornerman runs export`: what failed in a run, and the battles that were lost, as cases."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cornerman.cli.case_files import add_cases
from cornerman.domain.battles import Battle
from cornerman.domain.battles.workflows import Workflow
from cornerman.domain.datasets import DatasetOptions
from cornerman.domain.datasets.load import load_cases
from cornerman.domain.training.cases import Case, CaseError
from cornerman.personas import builtin_personas
from cornerman.settings import get_settings
from cornerman.storage import battles, cases
from cornerman.storage.database import Database
from cornerman.tasks.battle_agent import battle_case
from cornerman.workflows import builtin_workflow
from tests.cli.conftest import Printed
from tests.storage.samples import case_result, make_run

Command = Callable[..., Printed]
ERROR = CaseError("ValueError", "no")
SCORES = {"a": [1.0], "b": [0.0], "c": [0.4, 0.8], "d": [0.2, 0.4], "e": [None], "f": [0.0]}


@pytest.fixture
def db(cornerman_home: Path, sqlite_template: Path) -> Iterator[Database]:
    cornerman_home.mkdir()
    shutil.copyfile(sqlite_template, cornerman_home / "cornerman.db")
    database = Database(get_settings().database_url().url.get_secret_value())
    yield database
    database.close()


@pytest.fixture
def trained_run(db: Database, tmp_path: Path) -> Path:
    """A training run of six cases; returns its dataset."""
    path = tmp_path / "cases.jsonl"
    rows = [
        {"id": name, "inputs": {"q": name}, "expected_output": "x", "metadata": {"topic": name}}
        for name in SCORES
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    make_run(db, "train-1", request={"dataset": {"path": str(path)}})
    with db.writing() as session:
        for index, (name, scores) in enumerate(SCORES.items()):
            case = Case(name, index, {"q": name}, "x")
            for repeat, score in enumerate(scores):
                status = "errored" if score is None else "timed_out" if name == "f" else "scored"
                result = case_result(name, score=score, status=status, repeat=repeat)
                stored = {**vars(result), "case": case, "error": None if score else ERROR}
                cases.create_case_result(session, "train-1", type(result)(**stored))
    return path


def export(command: Command, *arguments: str | Path) -> Any:
    printed = command("runs", "export", *arguments, "--json")
    return {"code": printed.code, **printed.json()}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_failed_cases_are_added_once_with_what_is_known_of_them(
    command: Command, trained_run: Path, tmp_path: Path
) -> None:
    path = tmp_path / "failed.jsonl"
    first = export(command, "train-1", "--failed", "-o", path)
    assert (first["code"], first["below"]) == (0, 0.5)
    assert (first["found"], first["added"], first["known"]) == (3, 3, 0)
    assert first["left_out"] == {"scored 0.5 or more": 2, "errored, so they have no score": 1}
    before = path.read_bytes()
    again = export(command, "train-1", "--failed", "-o", path)
    assert (again["added"], again["known"]) == (0, 3)
    assert path.read_bytes() == before
    found = load_cases(DatasetOptions.model_validate({"path": str(path)}))
    assert [(case.id, case.inputs, case.expected_output) for case in found] == [
        (name, {"q": name}, "x") for name in "bdf"
    ]
    assert found[1].metadata == {
        "topic": "d",
        "from": "train-1",
        "split": "train",
        "score": pytest.approx(0.3),
        "output": None,
    }


def test_the_bar_and_the_candidate_can_be_chosen(
    command: Command, trained_run: Path, tmp_path: Path
) -> None:
    low = export(command, "train-1", "--below", "0.3", "-o", tmp_path / "a.jsonl")
    assert [case["id"] for case in lines(tmp_path / "a.jsonl")] == ["b", "f"] and low["found"] == 2
    everything = export(command, "train-1", "-o", tmp_path / "b.jsonl")
    assert (everything["found"], everything["below"]) == (5, None)
    other = export(command, "train-1", "--candidate", "c9", "-o", tmp_path / "c.jsonl")
    assert other["code"] == 2 and "no results of candidate 'c9'" in other["message"]
    assert not (tmp_path / "c.jsonl").exists()


def test_says_so_where_the_dataset_is_gone(
    command: Command, trained_run: Path, tmp_path: Path
) -> None:
    trained_run.unlink()
    told = export(command, "train-1", "--failed", "-o", tmp_path / "x.jsonl")
    assert told["added"] == 3 and "Without the metadata of the cases" in told["notes"][0]
    assert "topic" not in lines(tmp_path / "x.jsonl")[0]["metadata"]


def test_adds_to_a_users_own_file_and_renames_what_would_clash(
    command: Command, trained_run: Path, tmp_path: Path
) -> None:
    path = tmp_path / "mine.jsonl"
    mine = [
        {"id": "b", "inputs": {"q": "mine"}, "expected_output": "y", "metadata": {"kept": "ü"}},
        {"id": "other", "inputs": {"q": "d"}, "expected_output": "x"},
    ]
    # As an editor may leave it: a mark at the start, no line break at the end.
    path.write_bytes(("\ufeff" + "\n".join(json.dumps(row) for row in mine)).encode())
    told = export(command, "train-1", "--failed", "-o", path)
    assert (told["added"], told["known"]) == (2, 1)
    found = lines(path)
    assert found[:2] == mine
    assert len({case["id"] for case in found}) == len(found) == 4
    assert found[2]["id"].startswith("b-")


def test_lost_battles_are_the_cases_that_battle_training_uses(
    command: Command, db: Database, tmp_path: Path
) -> None:
    workflow = builtin_workflow("negotiation")
    personas = builtin_personas("negotiation")[:6]
    make_run(db, "batch-1", workflow_id="negotiation", kind="battle")
    facts: list[dict[str, Any]] = [
        {"score": 80},
        {"score": 20},
        {"score": 49.5},
        {"score": 0, "spoiled": True},
        {"status": "failed"},
        {"score": 10, "confirms": "b0"},
    ]
    with db.writing() as session:
        for number, (persona, fact) in enumerate(zip(personas, facts, strict=True)):
            scenario = workflow.scenarios[number % len(workflow.scenarios)]
            battle = Battle.model_validate(
                {
                    "id": f"b{number}",
                    "batch_id": "batch-1",
                    "workflow_id": "negotiation",
                    "persona_id": persona.id,
                    "scenario_id": scenario.id,
                    "seed": 100 + number,
                    "position": number,
                    "status": "scored",
                }
                | fact
            )
            battles.create_battle(session, battle, persona, scenario)
    path = tmp_path / "lost.jsonl"
    told = export(command, "batch-1", "--failed", "-o", path)
    assert (told["kind"], told["below"], told["found"]) == ("battle", 50, 2)
    assert sum(told["left_out"].values()) == 4 and len(told["left_out"]) == 4
    assert export(command, "batch-1", "--failed", "-o", path)["added"] == 0
    found = lines(path)
    assert [case["id"] for case in found] == ["b1", "b2"]
    met = personas[1].model_copy(
        update={"scenario": workflow.scenarios[1 % len(workflow.scenarios)]}
    )
    inputs = found[0]["inputs"]
    assert inputs == json.loads(json.dumps(battle_case(workflow, met, 101)))
    assert inputs["workflow"]["scenarios"][0]["id"] == met.scenario.id  # pyright: ignore
    Workflow.model_validate(inputs["workflow"] | {"prompts": workflow.prompts})
    low = export(command, "batch-1", "--below", "30", "-o", tmp_path / "low.jsonl")
    assert low["found"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train-9"], "There is no run"),
        (["train-1", "--below", "1.5"], "scores of a train run go from 0 to 1"),
        (["train-1", "--below", "0"], "--below is 0;"),
        (["scout-1"], "is a scout run, which has no cases"),
        (["empty-1"], "no results of candidate 'c0'; it has: no candidate"),
    ],
)
def test_refuses_what_it_cannot_do_and_writes_nothing(
    command: Command,
    db: Database,
    trained_run: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
) -> None:
    make_run(db, "scout-1", kind="scout")
    make_run(db, "empty-1")
    told = export(command, *arguments, "-o", tmp_path / "x.jsonl")
    assert told["code"] == 2 and message in told["message"]
    assert not (tmp_path / "x.jsonl").exists()


def test_leaves_a_file_alone_that_holds_something_else(
    command: Command, trained_run: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"name": "no case"}\n')
    assert export(command, "train-1", "-o", path)["code"] == 2
    assert path.read_text() == '{"name": "no case"}\n'


def test_those_who_add_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"

    def add(number: int) -> tuple[int, int]:
        names = [number, number + 1, 0]
        return add_cases(
            path, [{"id": "same", "inputs": {"n": n}, "expected_output": None} for n in names]
        )

    with ThreadPoolExecutor(8) as threads:
        done = list(threads.map(add, range(1, 25)))
    found = lines(path)
    assert sum(added for added, _ in done) == len(found) == 26
    assert len({case["id"] for case in found}) == 26
