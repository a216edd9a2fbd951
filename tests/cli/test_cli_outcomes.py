"""Documents and exit codes, as programs outside see them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cornerman.settings import reset_settings
from tests.cli.conftest import Played, Printed, write_spec
from tests.support.command import COMMAND, Finished

TRAIN_KEYS = [
    *("run_id", "workflow_id", "status", "stopped_by", "cost_usd", "max_concurrency"),
    *("seed_score", "best_checkpoint", "checkpoints", "test_score", "cases", "model_calls"),
]
BATCH_KEYS = [
    *("batchId", "battlesCompleted", "averageScore", "totalCost", "breakthroughs", "errors"),
    *("stoppedBy", "completedAt", "battles"),
]
Cornerman = Callable[..., Finished]


def test_train_prints_the_promised_document(played: Played) -> None:
    document = played.trained.json()
    assert played.trained.returncode == 0, played.trained.stderr
    assert list(document)[: len(TRAIN_KEYS)] == TRAIN_KEYS
    assert (document["run_id"], document["workflow_id"]) == ("train-played", "labels")
    assert (document["status"], document["stopped_by"]) == ("completed", None)
    assert document["max_concurrency"] == 8
    assert set(document["test_score"]) == {"value", "low", "high", "n"}
    assert set(document["cases"]) == {"scored", "timed_out", "errored"}
    assert document["checkpoints"][-1]["runnable_config"]["prompts"]["system"]["text"]
    assert document["simulated"] is True


def test_train_tells_its_progress_and_the_cap_on_standard_error(played: Played) -> None:
    assert (
        "10 cases at once were asked for; 8 is the most that run (MAX_CONCURRENT_CASES)."
        in played.trained.stderr
    )
    assert "epoch 2 of 2" in played.trained.stderr
    assert "Simulated" in played.trained.stderr


def test_battle_prints_the_batch_and_its_battles(played: Played) -> None:
    document = played.battled.json()
    assert played.battled.returncode == 0, played.battled.stderr
    assert set(BATCH_KEYS) <= set(document)
    assert document["battlesCompleted"] == 2
    battle = {"id", "persona_id", "status", "score", "ended_by", "cost_usd"}
    assert [set(one) for one in document["battles"]] == [battle, battle]


def test_a_spent_budget_exits_3_and_can_be_raised_on_resume(
    trained: Callable[..., Printed], tmp_path: Path
) -> None:
    text = {"text": "Label.", "requires_grad": True, "model_kwargs": {"max_tokens": 8}}
    changes: dict[str, Any] = {"prompts": {"system": text}}
    # One call's worst case fits, but not beside what six calls cost.
    poor = write_spec(tmp_path, optimizer={"epochs": 1, "max_cost_usd": 0.00003}, **changes)
    stopped = trained(poor, "--run-id", "poor", "--json")
    document = stopped.json()
    assert (stopped.code, document["status"]) == (3, "stopped"), stopped.err
    assert document["stopped_by"] == "budget"
    assert document["cost_usd"] <= 0.00003
    rich = write_spec(tmp_path, optimizer={"epochs": 1, "max_cost_usd": 1.0}, **changes)
    resumed = trained(rich, "--resume", "poor", "--json")
    assert (resumed.code, resumed.json()["status"]) == (0, "completed"), resumed.err
    assert resumed.json()["cases"]["scored"] == 6


def test_a_run_that_fails_exits_1_with_a_document(
    trained: Callable[..., Printed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_agent.py").write_text("def agent(inputs):\n    raise ValueError('no')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("EVALUATOR_MODULES", "broken_agent")
    reset_settings()
    graph = {"entrypoint": "broken_agent:agent"}
    spec = write_spec(tmp_path, graph_config=graph, optimizer={"epochs": 1})
    failed = trained(spec, "--run-id", "dead", "--json")
    document = failed.json()
    assert failed.code == 1
    assert set(document) == {"error", "message", "hint", "run_id"}
    assert "6 of 6 cases errored" in document["message"]
    assert document["hint"].endswith("cornerman train --resume dead")


def test_standard_output_is_kept_from_agents_that_print(
    cornerman: Cornerman, prefect_env: dict[str, str], tmp_path: Path
) -> None:
    agent = (
        "import subprocess\n"
        "def agent(inputs):\n"
        "    print('loud')\n"
        "    subprocess.run(['echo', 'louder'])\n"
        "    return 'delivery'\n"
    )
    (tmp_path / "loud_agent.py").write_text(agent)
    graph = {"entrypoint": "loud_agent:agent"}
    spec = write_spec(tmp_path, graph_config=graph, optimizer={"epochs": 1})
    env = prefect_env | {"EVALUATOR_MODULES": "loud_agent"}
    done = cornerman("train", spec, "--json", env=env)
    assert done.json()["seed_score"] == 1.0
    assert "loud\n" in done.stderr and "louder\n" in done.stderr


def _interrupt_when(home: Path, run_id: str, process: subprocess.Popen[str]) -> None:
    """Send what Ctrl-C sends, to the whole process group, once cases have been run."""
    from cornerman.storage.database import Database
    from cornerman.storage.runs import read_run

    url = f"sqlite:///{home / 'cornerman.db'}"
    for _ in range(400):
        time.sleep(0.1)
        if process.poll() is not None:
            return
        if not (home / "cornerman.db").exists():
            continue
        database = Database(url)
        try:
            with database.reading() as session:
                held = read_run(session, run_id)
        except Exception:  # noqa: BLE001 - the schema is being made
            held = None
        finally:
            database.close()
        if held is not None and held.status == "running" and held.last_seq > 0:
            os.killpg(process.pid, signal.SIGINT)
            return


def test_ctrl_c_ends_the_run_in_good_order(cornerman_home: Path, tmp_path: Path) -> None:
    env = os.environ | {"CORNERMAN_HOME": str(cornerman_home), "REHEARSAL_LATENCY_MS": "700"}
    optimizer = {"epochs": 3, "max_concurrency": 1}
    arguments = ["train", str(write_spec(tmp_path, optimizer=optimizer)), "--run-id", "long"]
    process = subprocess.Popen(
        [str(COMMAND), *arguments, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        start_new_session=True,
    )
    _interrupt_when(cornerman_home, "long", process)
    out, err = process.communicate(timeout=60)
    document: dict[str, Any] = json.loads(out)
    assert process.returncode == 1, err
    assert document["error"] == "cancelled"
    assert "cornerman train --resume long" in document["hint"]
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["train", "nowhere.yaml"], "spec"),
        (["train", "--resume", "nothing"], "run_id"),
        (["battle", "--batch-size", "99"], "batchSize"),
    ],
)
def test_bad_input_exits_2_with_a_document(
    command: Callable[..., Any], arguments: list[str], field: str
) -> None:
    printed = command(*arguments, "--json")
    document = printed.json()
    assert printed.code == 2
    assert {"error", "message", "hint"} <= set(document)
    assert document["field"] == field
