"""Orcheo's users: their payloads as its models dump them, and our checkpoints in its models.

TEST_ORCHEO_PYTHON names a Python that has `orcheo` and `orcheo-sdk`, as docs/orcheo.md
installs them; with it the same is tried with the packages themselves.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cornerman.domain.errors import BadInputError
from cornerman.gateway.websocket import parse_training_message
from cornerman.storage.database import Database
from tests.gateway.serving import API_TOKEN, Served, receive, receive_all, send
from tests.gateway.test_gateway_real_runs import answer_with_number, model_settings
from tests.support.llm_standin import LLMStandin
from tests.support.llm_thread import serving as serving_model
from tests.support.orcheo import evaluator, prompt, runnable_config, training

EXACT = "cornerman.evaluators.text:ExactMatch"
CONTAINS = "cornerman.evaluators.text:Contains"
# What Orcheo's own models know of a checkpoint; all else they refuse.
CHECKPOINT_FIELDS = {
    "id",
    "workflow_id",
    "workspace_id",
    "config_version",
    "runnable_config",
    "metrics",
    "metadata",
    "artifact_url",
    "created_at",
    "is_best",
}
SCRIPT = Path(__file__).parent / "orcheo_client.py"


@pytest.fixture
def model() -> Iterator[LLMStandin]:
    """A stand-in for the model, in a thread."""
    with serving_model(answer_with_number) as standin:
        yield standin


def message(**changes: Any) -> dict[str, Any]:
    """What Orcheo's clients send, each part as its model dumps it."""
    return {
        "type": "train_workflow",
        "graph_config": {},
        "inputs": {},
        "execution_id": "6f9619ff-8b86-4d11-b42d-00c04fc964ff",
        "training": training([evaluator(EXACT), evaluator(CONTAINS, "mentions")]),
        "runnable_config": runnable_config({"system": prompt("Say the number.")}),
    } | changes


def test_its_payload_trains_unchanged_and_metrics_hold_each_evaluators_mean(
    serve: Callable[..., Served], sqlite_db: Database, model: LLMStandin
) -> None:
    gateway = serve(sqlite_db, **model_settings(model))
    workflow = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
    with gateway.ws(workflow) as client:
        send(client, **message(inputs={"language": "en"}, triggered_by="cli"))
        events, last = receive_all(client, timeout=60)
    assert last == {"status": "completed"}
    assert {event["node"] for event in events} == {"agentensor_trainer"}
    assert events[-1]["event"] == "training_result"
    assert events[-1]["payload"]["dataset_id"] == "numbers-2026"
    address = f"/api/workflows/{workflow}/agentensor/checkpoints"
    stored = gateway.http.get(address).json()[0]
    assert set(stored) <= CHECKPOINT_FIELDS
    assert stored["metrics"]["quality"] == stored["metrics"]["mentions"] == 1.0
    assert stored["metadata"]["summary"] == {"quality": 1.0, "mentions": 1.0}
    # Its config goes into a new run as it came out of the last one.
    again = message(runnable_config=stored["runnable_config"])
    spec = parse_training_message(workflow, again)
    assert spec.starting_prompts is not None
    assert spec.starting_prompts["system"].text == "Say the number."


def test_an_empty_list_of_evaluators_is_refused_and_the_socket_stays_open(
    serve: Callable[..., Served], sqlite_db: Database
) -> None:
    gateway = serve(sqlite_db)
    with gateway.ws() as client:
        send(client, **message(training=training([])))
        said = receive(client)
        send(client, type="ping")
        assert receive(client) == {"type": "pong"}
    assert said["status"] == "error"
    assert said["error"].startswith(
        "Invalid training payload: evaluators: is empty; at least 1 needed"
    )


def test_a_stored_config_lies_under_the_runs_own() -> None:
    stored = runnable_config({"system": prompt("Old."), "tone": prompt("Kind.")})
    given = runnable_config({"system": prompt("New.")}) | {"tags": ["night"]}
    spec = parse_training_message(
        "support", message(runnable_config=given, stored_runnable_config=stored)
    )
    assert spec.starting_prompts is not None
    texts = {name: one.text for name, one in spec.starting_prompts.items()}
    assert texts == {"system": "New.", "tone": "Kind."}
    alone = message(stored_runnable_config=stored) | {"runnable_config": None}
    assert parse_training_message("support", alone).starting_prompts is not None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"graph_config": {"format": "langgraph-script", "source": "import os"}},
            r"graph_config: is a graph of Orcheo's \(it has format, source\)",
        ),
        ({"graph_config": {"nodes": [], "edges": []}}, r"graph_config: is a graph of Orcheo's"),
        (
            {"runnable_config": runnable_config({"system": prompt("x") | {"type": "Image"}})},
            r"runnable_config.prompts.system.type: 'Image': .*TextTensor",
        ),
        (
            {"training": training([evaluator("os:system")]) | {"dataset": {"id": "x"}}},
            "dataset: give cases or path",
        ),
    ],
)
def test_what_does_not_come_over_is_told(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        parse_training_message("support", message(**changes))


@pytest.mark.slow
def test_with_the_packages_themselves(
    serve: Callable[..., Served], sqlite_db: Database, model: LLMStandin
) -> None:
    python = os.environ.get("TEST_ORCHEO_PYTHON")
    if not python:
        pytest.skip("TEST_ORCHEO_PYTHON names no Python with orcheo 0.46 and orcheo-sdk")
    gateway = serve(sqlite_db, **model_settings(model))
    done = subprocess.run(
        [python, str(SCRIPT), str(gateway.port), EXACT],
        env={"PATH": os.environ["PATH"], "API_TOKEN": API_TOKEN},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["status"] == "completed"
    assert found["metrics"]["quality"] == 1.0
    assert found["refused"].startswith("Invalid training payload: evaluators: is empty")
    assert found["again"] == "completed"
