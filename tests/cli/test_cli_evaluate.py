"""`cornerman evaluate`: its table and document, its bars and exit codes, JUnit, bad input."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from cornerman.cli.commands.evaluate import continued_evaluation, new_evaluation
from cornerman.domain.errors import BadInputError
from cornerman.domain.runs import Run
from cornerman.flows.evaluate_prepare import stored_request
from cornerman.settings import get_settings
from cornerman.storage import checkpoints
from cornerman.storage.checkpoints import NewCheckpoint
from cornerman.storage.database import Database
from tests.cli.conftest import SPEC, Printed, write_spec

KEYS = ["run_id", "status", "columns", "comparisons", "passed"]
Evaluate = Callable[..., Printed]

# Answers by the prompt alone, so that prompts can be told apart without a model.
AGENT = "def agent(inputs, prompts): return prompts['system'].text.split()[-1]"


@pytest.fixture
def evaluate(
    command: Callable[..., Printed],
    prefect_harness: None,
    cornerman_home: Path,
    sqlite_template: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Evaluate:
    """Run `evaluate` in this process, with an agent of its own."""
    cornerman_home.mkdir()
    shutil.copyfile(sqlite_template, cornerman_home / "cornerman.db")
    (tmp_path / "parrot_of_evaluate.py").write_text(AGENT)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("EVALUATOR_MODULES", "parrot_of_evaluate")
    monkeypatch.setenv("REHEARSAL_LATENCY_MS", "0")
    return partial(command, "evaluate")


def parrot(tmp_path: Path, says: str, count: int = 12, **changes: Any) -> Path:
    """A spec whose agent answers every case with one word."""
    cases = [{"id": f"k{n}", "inputs": {"n": n}, "expected_output": "good"} for n in range(count)]
    return write_spec(
        tmp_path,
        graph_config={"entrypoint": "parrot_of_evaluate:agent"},
        dataset={"cases": cases},
        prompts={"system": {"text": f"Say {says}", "requires_grad": True}},
        **changes,
    )


def store_best(says: str, name: str = "best-1") -> None:
    """Have the workflow a best checkpoint whose agent says that."""
    prompt = {"text": f"Always say {says}", "requires_grad": True}
    database = Database(get_settings().database_url().url.get_secret_value())
    with database.writing() as session:
        new = NewCheckpoint(name, "labels", {"prompts": {"system": prompt}}, {}, {})
        checkpoints.create_checkpoint(session, new)
        checkpoints.update_best(session, "labels", name, reason="the test's", by="test")
    database.close()


def failures(path: Path) -> int:
    return int(ET.parse(path).getroot().get("failures", "-1"))


def test_prints_the_promised_document(evaluate: Evaluate, tmp_path: Path) -> None:
    done = evaluate(parrot(tmp_path, "good"), "--run-id", "gate", "--json")
    document = done.json()
    assert done.code == 0, done.err
    assert list(document)[: len(KEYS)] == KEYS
    assert (document["run_id"], document["status"], document["passed"]) == (
        *("gate", "completed", True),
    )
    column = document["columns"][0]
    assert {"model", "checkpoint", "score", "cost_usd"} <= set(column)
    assert set(column["score"]) == {"value", "low", "high", "n"}
    assert (column["score"]["value"], column["score"]["n"]) == (1.0, 12)


def test_a_mean_below_the_bar_exits_1_and_junit_says_the_same(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    file, spec = tmp_path / "junit.xml", parrot(tmp_path, "bad")
    below = evaluate(spec, "--min-score", "0.5", "--junit", file)
    assert below.code == 1
    assert "Not passed:" in below.out and "0.0000 is below min_score of 0.5" in below.out
    assert failures(file) == 13  # the bar, and every case
    met = evaluate(spec, "--min-score", "0", "--junit", file)
    assert (met.code, failures(file)) == (0, 0)
    assert "Passed." in met.out


def test_worse_than_the_best_exits_1_in_one_table(evaluate: Evaluate, tmp_path: Path) -> None:
    store_best("good")
    done = evaluate(parrot(tmp_path, "bad"), "--not-worse-than", "best", "--json")
    document = done.json()
    assert (done.code, document["passed"]) == (1, False)
    assert [c["checkpoint"] for c in document["columns"]] == [None, "best-1"]
    change = document["comparisons"][0]
    assert (change["mean"], change["n"]) == (-1.0, 12) and change["high"] < 0
    again = evaluate("--resume", document["run_id"])
    assert again.code == 1
    assert "-1.000 (" in again.out and "version 1" in again.out


def test_as_good_as_the_best_passes_and_the_same_prompts_are_scored_once(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    store_best("good")
    done = evaluate(parrot(tmp_path, "good"), "--not-worse-than", "best", "--json")
    assert (done.code, done.json()["passed"]) == (0, True)
    text = {"text": "Always say good"}
    spec = parrot(tmp_path, "good")
    written = yaml.safe_load(spec.read_text()) | {"prompts": {"system": text}}
    spec.write_text(yaml.safe_dump(written))
    same = evaluate(spec, "--not-worse-than", "best", "--json").json()
    assert (len(same["columns"]), same["passed"]) == (1, True)
    assert any("nothing to compare" in note for note in same["notes"])


def test_a_spent_budget_exits_3_and_can_be_raised_on_resume(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    text = {"text": "Label.", "model_kwargs": {"max_tokens": 8}}
    file = tmp_path / "junit.xml"
    poor = {"optimizer": {"max_cost_usd": 0.00003}, "prompts": {"system": text}}
    stopped = evaluate(
        write_spec(tmp_path, **poor), "--run-id", "p", "--min-score", "0", "--junit", file, "--json"
    )
    document = stopped.json()
    assert (stopped.code, document["status"], document["passed"]) == (3, "stopped", False)
    assert document["stopped_by"] == "budget" and document["cost_usd"] <= 0.00003
    assert ET.parse(file).getroot().get("errors") == "1"
    rich = write_spec(tmp_path, optimizer={"max_cost_usd": 1.0}, prompts={"system": text})
    resumed = evaluate(rich, "--resume", "p", "--json")
    assert (resumed.code, resumed.json()["status"]) == (0, "completed"), resumed.err
    assert resumed.json()["cases"]["scored"] == 6
    assert evaluate("--resume", "p", "--min-score", "1", "--json").code == 1


def test_a_failed_run_exits_1_and_its_junit_is_written(evaluate: Evaluate, tmp_path: Path) -> None:
    (tmp_path / "parrot_of_evaluate.py").write_text("def agent(inputs): raise ValueError('no')")
    sys.modules.pop("parrot_of_evaluate", None)
    file = tmp_path / "junit.xml"
    done = evaluate(parrot(tmp_path, "good"), "--run-id", "f", "--junit", file, "--json")
    assert (done.code, done.json()["run_id"]) == (1, "f")
    assert "cornerman evaluate --resume f" in done.json()["hint"]
    assert int(ET.parse(file).getroot().get("errors", "0")) >= 1
    sys.modules.pop("parrot_of_evaluate", None)


def test_ctrl_c_ends_it_in_good_order_and_it_goes_on_from_there(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    # What Ctrl-C sends, once, in the midst of the first case.
    agent = (
        "import os, pathlib, signal, time\n"
        "def agent(inputs):\n"
        "    once = pathlib.Path(__file__).with_name('pressed')\n"
        "    if not once.exists():\n"
        "        once.touch()\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        time.sleep(1)\n"
        "    return 'good'\n"
    )
    (tmp_path / "parrot_of_evaluate.py").write_text(agent)
    sys.modules.pop("parrot_of_evaluate", None)
    spec = parrot(tmp_path, "good", optimizer={"max_concurrency": 1})
    ended = evaluate(spec, "--run-id", "long", "--json")
    assert (ended.code, ended.json()["error"]) == (1, "cancelled")
    assert "cornerman evaluate --resume long" in ended.json()["hint"]
    again = evaluate("--resume", "long", "--json")
    assert (again.code, again.json()["columns"][0]["score"]["n"]) == (0, 12)
    sys.modules.pop("parrot_of_evaluate", None)


BAD: list[tuple[list[str], str, str]] = [
    (["--checkpoint", "nope"], "checkpoints", "has no checkpoint 'nope'"),
    (["--not-worse-than", "nope"], "not_worse_than", "has no checkpoint 'nope'"),
    (["--not-worse-than", "best", "--checkpoint", "best-1"], "not_worse_than", "nothing to"),
    (["--split", "test"], "split", "the dataset has no test cases (6 cases are under 10"),
    (["--split", "dev"], "split", "'dev': input should be 'train', 'validation', 'test' or 'all'"),
    (["--min-score", "1.5"], "min_score", "1.5 is over the limit of 1"),
    (["--min-score", "-0.1"], "min_score", "-0.1 is under the limit of 0"),
    (["--model", "acme-9"], "MODEL_PRICES", "No price is known for model 'acme-9'"),
    (["--junit", "nowhere/junit.xml"], "junit", "stands in no folder that is there"),
    (["--run-id", "a", "--resume", "b"], "run_id", "give it or --resume"),
]


@pytest.mark.parametrize(("options", "field", "said"), BAD, ids=lambda value: str(value)[:40])
def test_bad_input_exits_2_and_names_the_field(
    evaluate: Evaluate, tmp_path: Path, options: list[str], field: str, said: str
) -> None:
    store_best("good")
    done = evaluate(write_spec(tmp_path), *options, "--json")
    assert (done.code, done.json()["field"]) == (2, field), done.out
    assert said in done.json()["message"]


def test_nothing_to_evaluate_says_what_to_type(command: Callable[..., Printed]) -> None:
    done = command("evaluate", "--json")
    assert (done.code, done.json()["field"]) == (2, "spec")


def test_the_report_holds_the_cases_that_differ(
    evaluate: Evaluate, command: Callable[..., Printed], tmp_path: Path
) -> None:
    store_best("good")
    evaluate(parrot(tmp_path, "bad"), "--not-worse-than", "best", "--run-id", "gate")
    page = tmp_path / "gate.html"
    assert command("report", "gate", "-o", page).code == 0
    html = page.read_text()
    assert "Cases on which the columns differ" in html and "k11" in html and "Not passed" in html
    listed = command("runs", "list", "--kind", "evaluate", "--json").json()
    assert [run["id"] for run in listed] == ["gate"]
    assert "evaluate of labels, completed" in command("runs", "show", "gate").out


def stored(spec: Path, **changes: Any) -> Run:
    parameters = new_evaluation(str(spec), "r1", {"models": ["gpt-4o-mini"]})
    request = stored_request(parameters, [], "0")
    values: dict[str, Any] = {
        "id": "r1",
        "kind": "evaluate",
        "workflow_id": "labels",
        "status": "stopped",
        "request": json.loads(json.dumps(request)),
        "random_state": {},
        "metrics": {},
        "simulated": True,
        "created_at": datetime.now(UTC),
    }
    return Run(**values | changes)


def test_a_run_goes_on_with_what_was_asked_and_a_new_bar(tmp_path: Path) -> None:
    run = stored(write_spec(tmp_path))
    again = continued_evaluation(run, None, {"min_score": 0.9})
    assert (again.run_id, again.models, again.min_score) == ("r1", ["gpt-4o-mini"], 0.9)


def test_what_is_about_rewriting_may_change_and_prompts_may_not(tmp_path: Path) -> None:
    run = stored(write_spec(tmp_path))
    more = write_spec(tmp_path, optimizer=SPEC["optimizer"] | {"epochs": 9, "proposals": 2})
    assert continued_evaluation(run, str(more), {}).models == ["gpt-4o-mini"]
    other = write_spec(tmp_path, prompts={"system": {"text": "Another."}})
    with pytest.raises(BadInputError, match=r"prompts\.system"):
        continued_evaluation(run, str(other), {})
    with pytest.raises(BadInputError, match="models"):
        continued_evaluation(run, None, {"models": ["gpt-4o"]})


@pytest.mark.parametrize(("kind", "typed"), [("train", "train --resume r1"), ("battle", "--kind")])
def test_another_kind_of_run_cannot_be_resumed_here(tmp_path: Path, kind: str, typed: str) -> None:
    with pytest.raises(BadInputError, match=f"is a {kind} run") as refused:
        continued_evaluation(stored(write_spec(tmp_path), kind=kind), None, {})
    assert typed in refused.value.hint
