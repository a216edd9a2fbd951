"""`cornerman judge check` as a person types it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cornerman.settings import reset_settings
from tests.cli.conftest import SPEC, Printed, write_spec
from tests.support.battle_arena import lab_workflow
from tests.support.judging import judge, labelled, write_labels
from tests.support.llm_standin import LLMStandin, Reply
from tests.support.llm_thread import serving

Command = Callable[..., Printed]
PRICES = '{"judge": {"input": 100, "output": 100}}'


@pytest.fixture
def model(
    cornerman_home: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LLMStandin]:
    """A model that judges, and a home with a database."""
    cornerman_home.mkdir()
    shutil.copyfile(sqlite_template, cornerman_home / "cornerman.db")
    with serving(judge) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("REFEREE_MODEL", "judge")
        monkeypatch.setenv("MODEL_PRICES", PRICES)
        monkeypatch.setenv("DAILY_BUDGET_USD", "1000")
        reset_settings()
        yield server


@pytest.fixture
def labels(tmp_path: Path) -> str:
    return write_labels(tmp_path, labelled(20, wrong=2))


def test_it_prints_the_figures_the_confusion_and_the_cases_that_differ(
    command: Command, model: LLMStandin, labels: str
) -> None:
    done = command("judge", "check", labels, "--rubric", "It is fine.")
    assert done.code == 0
    assert "judge (judge) against people on 20 of 20 cases" in done.out
    assert "Agreement  90.0% (95% interval 69.9 to 97.2, n = 20)" in done.out
    assert "Kappa      0.80 (95% interval " in done.out
    assert "Bias       +0.00 (95% interval " in done.out
    assert "They differ on 2, the furthest apart first:" in done.out
    assert "SAYS 1 in case 0" in done.out and "It says so." in done.out
    assert "for 20 model calls" in done.out
    again = command("judge", "check", labels, "--rubric", "It is fine.", "--json").json()
    assert (again["remembered"], again["model_calls"], again["cost_usd"]) == (20, 0, 0)
    fresh = command("judge", "check", labels, "--rubric", "It is fine.", "--fresh", "--json")
    assert (fresh.json()["model_calls"], model.total) == (20, 40)


def test_under_the_bar_it_exits_1_and_the_run_is_there_to_be_looked_at(
    command: Command, model: LLMStandin, labels: str
) -> None:
    done = command("judge", "check", labels, "--rubric", "Fine?", "--min-kappa", "0.9", "--json")
    found = done.json()
    assert (done.code, found["passed"], found["status"]) == (1, False, "completed")
    assert "under the 0.9 that is asked for" in found["verdict"]
    assert found["confusion"] == [[9, 1], [1, 9]]
    assert found["kappa"] | {"low": 0, "high": 0} == {
        "value": pytest.approx(0.8),
        "low": 0,
        "high": 0,
        "n": 20,
        "weights": "none",
    }
    kept = command("judge", "check", labels, "--rubric", "Fine?", "--min-kappa", "0.5")
    assert kept.code == 0
    assert "its interval is not: with more labels you would know" in kept.err
    listed = command("runs", "list", "--kind", "judge", "--json").json()
    assert [run["id"] for run in listed][1] == found["run_id"]
    calls = command("runs", "trace", found["run_id"], "l0", "--json").json()
    assert [(call["role"], call["model"]) for call in calls] == [("judge", "judge")]


def test_a_budget_and_the_kill_switch_exit_3_and_what_was_judged_is_remembered(
    command: Command, model: LLMStandin, labels: str
) -> None:
    asked = ("judge", "check", labels, "--rubric", "Fine?", "--concurrency", "1")
    done = command(*asked, "--max-cost-usd", "0.2", "--json")
    found = done.json()
    assert (done.code, found["status"], found["stopped_by"]) == (3, "stopped", "budget")
    assert 0 < found["scored"] < 20 and found["cost_usd"] <= 0.2
    command("kill-switch", "on", "--reason", "lunch")
    halted = command(*asked)
    assert halted.code == 3 and "The kill-switch is on: lunch" in halted.err
    command("kill-switch", "off")
    went_on = command(*asked, "--json").json()
    assert (went_on["remembered"], model.total) == (found["scored"], 20)


def test_a_specs_own_judge_with_labels_on_a_scale(
    command: Command, model: LLMStandin, tmp_path: Path
) -> None:
    config = {"rubric": "It is fine."}
    evaluators = [
        {"id": "same", "entrypoint": "exact_match"},
        {"id": "fine", "entrypoint": "llm_judge", "config": config},
    ]
    spec = write_spec(tmp_path, evaluators=evaluators)
    rows = [
        {"answer": f"SAYS {n / 4}", "stars": n + 1, "expected_output": "?", "by": "Ada"}
        for n in range(5)
    ] * 2
    file = write_labels(tmp_path, rows)
    named = ("--scale", "1-5", "--column", "output=answer", "--column", "label=stars")
    found = command("judge", "check", file, "--spec", spec, *named, "--json").json()
    assert (found["judge"]["evaluator"], found["levels"]) == ("fine", [1, 2, 3, 4, 5])
    assert (found["kappa"]["value"], found["kappa"]["weights"]) == (1, "quadratic")
    assert found["columns_not_read"] == ["by"]
    columns = {"output": "answer", "label": "stars"}
    own = {"calibration": file, "scale": "1-5", "columns": columns}
    said_there = write_spec(tmp_path, evaluators=evaluators, judge=own)
    assert command("judge", "check", file, "-s", said_there, "--json").json()["remembered"] == 10
    other = command("judge", "check", file, "--spec", spec, *named, "-e", "same", "--json").json()
    assert other["judge"] == {"evaluator": "same", "entrypoint": "exact_match"}
    assert (other["model_calls"], other["bias"]["value"]) == (0, -0.5)


def test_a_workflows_referee_judges_conversations(
    command: Command, model: LLMStandin, tmp_path: Path
) -> None:
    def referee(request: dict[str, Any], n: int) -> Reply:
        said = str(request["messages"])
        assert "strict, fair referee" in said
        criteria = yaml.safe_load(lab_workflow())["rubric"]["criteria"]
        lines = [{"name": c["name"], "score": 50, "turn": 0, "evidence": ""} for c in criteria]
        score = 80 if "deal" in said.split("=== transcript")[1] else 10
        return Reply(text=json.dumps({"score": score, "sub_scores": lines, "rationale": "Seen."}))

    model.script = referee
    file = tmp_path / "lab.yaml"
    file.write_text(lab_workflow())
    rows = [
        {
            "turns": [{"speaker": "persona", "text": "How much?"}, {"speaker": "agent", "text": s}],
            "label": label,
        }
        for s, label in (("It is a deal.", "pass"), ("Never.", "fail"), ("A deal!", "fail"))
    ]
    found = command(
        "judge", "check", write_labels(tmp_path, rows), "--referee", file, "--json"
    ).json()
    assert found["judge"] == {"referee": "lab", "model": "judge"}
    assert found["confusion"] == [[1, 1], [0, 1]]
    assert found["differences"][0]["judged"] == "persona: How much?\nagent: A deal!"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "One of --spec, --rubric and --referee says which judge is checked; none came."),
        (["--rubric", "x", "--referee", "negotiation"], "--rubric and --referee came."),
        (["--rubric", "x", "--evaluator", "fine"], "--evaluator belongs to --spec."),
        (["--rubric", "x", "--scale", "five"], "--scale: 'five' is not LOW-HIGH"),
        (["--rubric", "x", "--column", "labels=y"], "--column: 'labels=y' is not PART=NAME"),
        (["--rubric", "x", "--column", "label=y"], "line 1 has no y; it has: id, inputs, output"),
        (["--rubric", " "], "rubric must say what a good output is"),
        (["--referee", "nobody"], "workflow_id: 'nobody' has neither a rubric"),
        (["--spec", "SPEC", "--evaluator", "x"], "--evaluator: 'x' is no evaluator's id"),
    ],
)
def test_bad_input_names_the_option_and_asks_nobody(
    command: Command,
    model: LLMStandin,
    labels: str,
    tmp_path: Path,
    arguments: list[str],
    said: str,
) -> None:
    spec = str(write_spec(tmp_path))
    given = [spec if one == "SPEC" else one for one in arguments]
    done = command("judge", "check", labels, *given, "--json")
    assert (done.code, model.total) == (2, 0)
    assert said in done.json()["message"]


def test_a_spec_with_a_judge_is_estimated_with_it_and_read_beside_its_file(
    command: Command, model: LLMStandin, labels: str, tmp_path: Path
) -> None:
    evaluators = [{"id": "fine", "entrypoint": "llm_judge", "config": {"rubric": "Fine?"}}]
    prices = {"AGENT_MODEL": "judge", "OPTIMIZER_MODEL": "judge"}
    spec = write_spec(tmp_path, evaluators=evaluators, judge={"calibration": "labels.jsonl"})
    assert SPEC["workflow_id"] == "labels"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in prices.items():
            patch.setenv(name, value)
        reset_settings()
        found = command("estimate", spec, "--json").json()
    assert found["calls"]["labels"] == {"low": 0, "likely": 20, "high": 40}
