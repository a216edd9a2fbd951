"""Commands that look at what runs left: runs, checkpoints, reports, estimates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from cornerman.cli.output import usd
from cornerman.cli.store import database
from cornerman.domain.money import pico_to_usd
from cornerman.gateway.routes.runs import run_body
from cornerman.gateway.views import run_brief
from cornerman.storage.ledger import read_run_cost_pico
from cornerman.storage.runs import require_run, update_run_metrics
from tests.cli.conftest import Played, Printed, write_spec

Command = Callable[..., Printed]
pytestmark = pytest.mark.usefixtures("played_home")


def test_runs_are_listed_newest_first(command: Command) -> None:
    listed = command("runs", "list", "--json").json()
    assert sorted(run["kind"] for run in listed) == ["battle", "train"]
    assert listed[0]["created_at"] > listed[1]["created_at"]
    assert [run["kind"] for run in command("runs", "list", "--kind", "train", "--json").json()] == [
        "train"
    ]
    assert command("runs", "list", "--active", "--json").json() == []


def test_an_unknown_kind_of_run_is_refused(command: Command) -> None:
    assert command("runs", "list", "--kind", "dance").code == 2


def test_a_run_is_shown_by_how_its_id_begins(command: Command) -> None:
    shown = command("runs", "show", "train-p", "--json").json()
    assert shown["id"] == "train-played"
    assert {row["role"] for row in shown["ledger"]} == {"agent", "optimizer"}
    assert shown["events"][-1]["event"] == "training_result"
    text = command("runs", "show", "train-p").out
    assert "Simulated" in text and "rehearsal-agent" in text


def test_every_place_shows_the_cost_that_the_ledger_has(command: Command) -> None:
    with database() as db, db.writing() as session:
        # What an epoch said before the calls that came after it.
        update_run_metrics(session, "train-played", {"cost_usd": 0.5})
        run = require_run(session, "train-played")
        cost_pico = read_run_cost_pico(session, run.id)
    cost = pico_to_usd(cost_pico)
    shown = command("runs", "show", run.id, "--json").json()
    listed = command("runs", "list", "--kind", "train", "--json").json()[0]
    cancelled = command("runs", "cancel", run.id, "--json").json()
    places = [shown, listed, cancelled, run_body(run, cost_pico), run_brief(run, cost_pico)]
    assert cost > 0
    assert sum(row["cost_usd"] for row in shown["ledger"]) == pytest.approx(cost)
    assert shown["result"]["cost_usd"] == cost
    assert {place["cost_usd"] for place in places} == {cost}
    assert {place["metrics"]["cost_usd"] for place in places} == {cost}
    assert f"cost_usd: {cost}" in command("runs", "show", run.id).out
    assert usd(cost) in command("runs", "list", "--kind", "train").out


def test_cancelling_an_ended_run_leaves_it(command: Command) -> None:
    cancelled = command("runs", "cancel", "train-played", "--json")
    assert (cancelled.code, cancelled.json()["status"]) == (0, "completed")


def test_checkpoints_are_listed_and_shown(command: Command) -> None:
    listed = command("checkpoints", "list", "labels", "--json").json()
    assert [one["is_best"] for one in listed].count(True) == 1
    best = command("checkpoints", "list", "--workflow", "labels", "--best", "--json").json()
    assert len(best) == 1
    shown = command("checkpoints", "show", best[0]["id"][:8], "--json").json()
    assert shown == best[0]
    assert "Label the message" in command("checkpoints", "show", listed[-1]["id"]).out


def test_an_unknown_workflow_is_not_found(command: Command) -> None:
    printed = command("checkpoints", "list", "nothing", "--json")
    assert (printed.code, printed.json()["error"]) == (2, "not_found")


def test_a_diff_marks_words_where_there_is_no_colour(command: Command) -> None:
    listed = command("checkpoints", "list", "labels", "--json").json()
    new, old = listed[0]["id"], listed[-1]["id"]
    document = command("checkpoints", "diff", old, new, "--json").json()
    changed = document["prompts"]["system"]["changed"]
    assert changed == any(part["op"] != "equal" for part in document["prompts"]["system"]["parts"])
    text = command("checkpoints", "diff", old, new).out
    assert "system" in text and ("{+" in text) == changed
    assert "\x1b" not in text


@pytest.mark.parametrize("form", ["json", "yaml", "dspy"])
def test_a_checkpoint_is_exported(command: Command, tmp_path: Path, form: str) -> None:
    best = command("checkpoints", "list", "labels", "--best", "--json").json()[0]
    prompt = best["runnable_config"]["prompts"]["system"]["text"]
    path = tmp_path / "out"
    written = command("checkpoints", "export", best["id"], "--format", form, "-o", path)
    assert written.code == 0
    text = path.read_text()
    assert text == command("checkpoints", "export", best["id"], "--format", form).out
    held = yaml.safe_load(text) if form == "yaml" else json.loads(text)
    if form == "dspy":
        assert held["system"]["signature"]["instructions"] == prompt
    else:
        assert held["runnable_config"]["prompts"]["system"]["text"] == prompt


def test_a_report_of_each_kind_is_written(command: Command, tmp_path: Path) -> None:
    for run in command("runs", "list", "--json").json():
        path = tmp_path / f"{run['kind']}.html"
        document = command("report", run["id"], "-o", path, "--json").json()
        assert (document["path"], document["simulated"]) == (str(path), True)
        page = path.read_text()
        assert run["id"] in page and "imulated" in page


def test_past_runs_narrow_an_estimate(command: Command, tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    narrowed = command("estimate", spec, "--json").json()
    fresh = write_spec(tmp_path, workflow_id="other")
    wide = command("estimate", fresh, "--json").json()
    assert "past runs" in narrowed["basis"]
    assert 0 < narrowed["low_usd"] <= narrowed["likely_usd"] <= narrowed["high_usd"]
    assert narrowed["high_usd"] - narrowed["low_usd"] < wide["high_usd"] - wide["low_usd"]


def test_what_a_run_cost_lies_in_its_estimate(
    command: Command, tmp_path: Path, played: Played
) -> None:
    spec = write_spec(tmp_path, workflow_id="other")
    wide = command("estimate", spec, "--json").json()
    assert wide["low_usd"] <= played.trained.json()["cost_usd"] <= wide["high_usd"]


def test_a_batch_is_estimated(command: Command, played: Played) -> None:
    found = command("estimate", "battle", "--batch-size", "2", "--json").json()
    assert set(found["calls"]) == {"agent", "persona", "referee", "scout"}
    assert found["low_usd"] <= played.battled.json()["totalCost"] <= found["high_usd"]
