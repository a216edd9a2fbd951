"""Runs that really run: processes of their own, a model's stand-in, and a gateway that dies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cornerman.storage.database import Database
from tests.gateway.serving import (
    Served,
    receive,
    receive_all,
    send,
    settings_for,
    until,
)
from tests.support.llm_standin import LLMStandin, Reply

CASES = [{"inputs": {"n": n}, "expected_output": str(n)} for n in range(6)]


def answer_with_number(request: dict[str, Any], _n: int) -> Reply:
    """Answer with the first number of the case, slowly enough to be watched."""
    text = str(request["messages"][-1]["content"])
    found = re.search(r"\d+", text)
    return Reply(text=found.group() if found else "none", delay=0.4)


@pytest.fixture(autouse=True)
def warm_prefect(cornerman_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the migrated, empty Prefect database for the next test: making it takes long."""
    kept, used = tmp_path_factory.getbasetemp() / "empty-prefect", cornerman_home / "prefect"
    if kept.exists():
        shutil.copytree(kept, used)
    yield
    if used.exists() and not kept.exists():
        shutil.copytree(used, kept)


@pytest.fixture
def model() -> Iterator[LLMStandin]:
    """A stand-in for the model, in a thread."""
    loop = asyncio.new_event_loop()
    standin = LLMStandin(answer_with_number)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(standin.start(), loop).result(10)
    yield standin
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)


def model_settings(standin: LLMStandin) -> dict[str, str]:
    prices = '{"toy": {"input": 1, "output": 1}}'
    return {
        "OPENAI_BASE_URL": standin.base_url,
        "OPENAI_API_KEY": "sk-secret-of-the-tests",
        "AGENT_MODEL": "toy",
        "OPTIMIZER_MODEL": "toy",
        "MODEL_PRICES": prices,
    }


def training(**more: Any) -> dict[str, Any]:
    return {
        "type": "train_workflow",
        "graph_config": {},
        "inputs": {"language": "en"},
        "training": {
            "dataset": {"cases": CASES},
            "evaluators": [{"id": "quality", "entrypoint": "exact_match"}],
            "optimizer": {"epochs": 1, "checkpoint_interval": 1, "max_concurrency": 2},
            "prompts": {"system": {"text": "Say the number.", "requires_grad": True}},
        },
    } | more


def test_trains_over_a_websocket_and_stores_what_it_learned(
    serve: Callable[..., Served], sqlite_db: Database, model: LLMStandin
) -> None:
    gateway = serve(sqlite_db, **model_settings(model))
    with gateway.ws() as client:
        send(client, **training(execution_id="first"))
        events, last = receive_all(client, timeout=60)
    assert last == {"status": "completed"}
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    names = [event["event"] for event in events]
    assert names.count("training_progress") == len(CASES)
    assert names[-3:] == ["training_epoch_complete", "training_checkpoint", "training_result"]
    assert events[0]["payload"]["inputs"]["language"] == "en"
    stored = gateway.http.get("/api/workflows/support/agentensor/checkpoints?run_id=first").json()
    one = gateway.http.get(f"/api/workflows/support/agentensor/checkpoints/{stored[0]['id']}")
    assert one.json()["runnable_config"]["prompts"]["system"]["text"] == "Say the number."
    run = gateway.http.get("/api/runs/first").json()
    assert run["status"] == "completed" and run["cost_usd"] > 0
    everything = str(events) + gateway.http.get("/api/monitor/summary").text
    assert "sk-secret-of-the-tests" not in everything


@contextlib.contextmanager
def gateway_process(cwd: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The gateway as a process that can be killed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = f"from cornerman.gateway import serve; serve(port={port})"
    with (cwd / "gateway.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-c", code], cwd=cwd, stderr=log, stdout=log)
    try:
        until(lambda: _answers(port), 30, "the gateway answers")
        yield process, port
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    return False


def test_a_run_survives_its_gateway_and_is_read_again_from_the_next(
    monkeypatch: pytest.MonkeyPatch, sqlite_db: Database, model: LLMStandin, tmp_path: Path
) -> None:
    settings = settings_for(monkeypatch, sqlite_db, **model_settings(model))
    with gateway_process(tmp_path) as (process, port):
        first = Served(port, settings, sqlite_db, None)  # type: ignore[arg-type]
        with first.ws() as client:
            send(client, **training(execution_id="survivor"))
            seen = receive(client, timeout=60)["seq"]
            process.send_signal(signal.SIGKILL)
    with gateway_process(tmp_path) as (process, port):
        second = Served(port, settings, sqlite_db, None)  # type: ignore[arg-type]
        with second.ws() as client:
            send(client, type="attach", execution_id="survivor", after=seen)
            events, last = receive_all(client, timeout=60)
    assert last == {"status": "completed"}
    assert [event["seq"] for event in events] == list(range(seen + 1, seen + len(events) + 1))
    assert model.total == len(CASES), "no case was paid for twice"


def test_cancel_ends_a_run_within_two_seconds(
    serve: Callable[..., Served], sqlite_db: Database, model: LLMStandin
) -> None:
    model.script = lambda _request, _n: Reply(hang=True)
    gateway = serve(sqlite_db, **model_settings(model))
    with gateway.ws() as client:
        send(client, **training(execution_id="long"))
        until(lambda: model.in_flight, 60, "a case is with the model")
        asked = time.monotonic()
        send(client, type="cancel", execution_id="long")
        _, last = receive_all(client)
        assert last == {"status": "cancelled"}
        assert time.monotonic() - asked < 2.0
    assert gateway.http.get("/api/runs/long").json()["stopped_by"] == "cancelled"


def test_cancel_ends_a_run_whose_process_has_not_begun(
    serve: Callable[..., Served], sqlite_db: Database, model: LLMStandin
) -> None:
    gateway = serve(sqlite_db, **model_settings(model))
    with gateway.ws() as client:
        send(client, **training(execution_id="early"))
        until(lambda: gateway.http.get("/api/runs/early").status_code == 200)
        asked = time.monotonic()
        assert gateway.http.post("/api/runs/early/cancel").status_code == 202
        _, last = receive_all(client)
    assert last == {"status": "cancelled"} and time.monotonic() - asked < 2.0
    assert model.total == 0


def test_a_run_whose_process_was_killed_is_started_again(
    serve: Callable[..., Served], sqlite_db: Database, model: LLMStandin
) -> None:
    gateway = serve(sqlite_db, **model_settings(model))
    with gateway.ws() as client:
        send(client, **training(execution_id="killed"))
        folder = gateway.settings.home / "launches"
        until(lambda: folder.joinpath("killed.json").exists(), 20)
        time.sleep(0.2)
        launch = json.loads(folder.joinpath("killed.json").read_text())
        os.killpg(launch["pid"], signal.SIGKILL)
        _, last = receive_all(client, timeout=60)
    assert last == {"status": "completed"}


def test_batches_and_scans_by_cron(serve: Callable[..., Served], sqlite_db: Database) -> None:
    gateway = serve(sqlite_db, DELAY_BETWEEN_BATTLES_MS="0", REHEARSAL_LATENCY_MS="1")
    key = {"Idempotency-Key": "tonight"}
    started = gateway.cron.post("/api/cron/train", json={"batchSize": 2}, headers=key)
    assert started.status_code == 202
    batch_id = started.json()["batch"]["batchId"]
    again = gateway.cron.post("/api/cron/train", json={"batchSize": 2}, headers=key)
    assert again.json()["batch"]["batchId"] == batch_id
    overlap = gateway.cron.post("/api/cron/train")
    assert overlap.status_code == 409 and overlap.json()["id"] == batch_id
    until(lambda: gateway.http.get(f"/api/runs/{batch_id}").json()["status"] == "completed", 60)

    answer = gateway.cron.get("/api/cron/train", params={"batchSize": 1}, timeout=90).json()
    assert answer["success"] is True
    assert answer["batch"]["battlesCompleted"] == 1
    assert answer["batch"]["batchId"] != batch_id
    scan = gateway.cron.get("/api/cron/scout-scan", timeout=90).json()
    assert scan == {"success": True, "processed": 0, "message": scan["message"]}
    _monitor_shows(gateway, batch_id)


def _monitor_shows(gateway: Served, batch_id: str) -> None:
    summary = gateway.http.get("/api/monitor/summary").json()
    assert summary["battles"] == 3 and summary["simulated"] is True
    assert summary["budgets"]["day"]["spent_usd"] > 0
    shown = gateway.http.get("/api/monitor/battles?workflow=negotiation").json()
    assert batch_id in [batch["id"] for batch in shown["batches"]]
    one = gateway.http.get(f"/api/battles/{shown['battles'][0]['id']}").json()
    assert one["turns"] and one["persona_name"]
    assert gateway.http.get("/api/ratings/negotiation").json()["ratings"]
    met = gateway.http.get("/api/personas/negotiation").json()["personas"]
    assert sum(persona["battles"] for persona in met) == 3
