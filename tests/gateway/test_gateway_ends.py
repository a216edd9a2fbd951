"""How a socket ends, and what it answers to a second request of the same id."""

from __future__ import annotations

import time
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from cornerman.gateway import websocket
from tests.gateway.serving import Served, end, new_run, receive, receive_all, say, send

ENDS: dict[str, dict[str, Any]] = {
    "completed": {},
    "stopped": {"stopped_by": "budget"},
    "cancelled": {"stopped_by": "cancelled"},
    "failed": {"error": {"type": "X", "message": "no rubric"}},
}
SAID = {"failed": "error"}


def closes(client: Any) -> int:
    """Wait for the close frame; returns its code."""
    with pytest.raises(ConnectionClosed) as closed:
        client.recv(timeout=10)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


@pytest.mark.parametrize("status", list(ENDS))
@pytest.mark.parametrize("when", ["while it is followed", "before it is asked for"])
def test_the_socket_closes_by_itself_after_every_end(
    gateway: Served, monkeypatch: pytest.MonkeyPatch, status: str, when: str
) -> None:
    assert websocket.LINGER_SECONDS == 30
    monkeypatch.setattr(websocket, "LINGER_SECONDS", 0.3)
    new_run(gateway.db, "r")
    say(gateway.db, "r", {"n": 1})
    before = when.startswith("before")
    if before:
        end(gateway.db, "r", status, **ENDS[status])
    with gateway.ws() as client:
        send(client, type="attach", execution_id="r")
        assert receive(client)["seq"] == 1
        if not before:
            end(gateway.db, "r", status, **ENDS[status])
        assert receive(client)["status"] == SAID.get(status, status)
        assert closes(client) == 1000


def test_a_run_that_this_socket_cancels_is_an_end_too(
    gateway: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "LINGER_SECONDS", 0.3)
    new_run(gateway.db, "r")
    end(gateway.db, "r", "cancelled", stopped_by="cancelled")
    with gateway.ws() as client:
        send(client, type="cancel", execution_id="r")
        assert receive(client) == {"status": "cancelled"}
        assert closes(client) == 1000


def test_a_socket_that_follows_another_run_stays_open(
    gateway: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "LINGER_SECONDS", 0.3)
    for name in ("first", "second"):
        new_run(gateway.db, name)
    end(gateway.db, "first")
    with gateway.ws() as client:
        send(client, type="attach", execution_id="first")
        assert receive(client) == {"status": "completed"}
        send(client, type="attach", execution_id="second")
        time.sleep(0.6)
        say(gateway.db, "second", {"n": 1})
        assert receive(client)["seq"] == 1
        end(gateway.db, "second")
        assert receive(client) == {"status": "completed"}
        assert closes(client) == 1000


def _training(**changes: Any) -> dict[str, Any]:
    return {
        "dataset": {"cases": [{"inputs": {"q": "1"}, "expected_output": "1"}]},
        "evaluators": [{"id": "e", "entrypoint": "exact_match"}],
        "optimizer": {"epochs": 1},
        "prompts": {"system": {"text": "x", "requires_grad": True}},
    } | changes


def test_the_same_request_of_a_known_id_attaches_and_another_is_refused(gateway: Served) -> None:
    with gateway.ws() as client:
        send(client, type="train_workflow", execution_id="known", training=_training())
        first, ended = receive_all(client, 60)
    assert ended == {"status": "completed"}
    with gateway.ws() as client:
        send(client, type="train_workflow", execution_id="known", training=_training())
        assert receive_all(client, 60) == (first, ended)
    changes: dict[str, Any] = {
        "optimizer.epochs": {"optimizer": {"epochs": 2}},
        "prompts.system.text": {"prompts": {"system": {"text": "y", "requires_grad": True}}},
        "evaluators.0.id": {"evaluators": [{"id": "f", "entrypoint": "exact_match"}]},
        "dataset.cases": {"dataset": {"cases": [{"inputs": {"q": n}} for n in range(2)]}},
    }
    with gateway.ws() as client:
        for field, change in changes.items():
            send(client, type="train_workflow", execution_id="known", training=_training(**change))
            answer = receive(client)
            assert answer["status"] == "error"
            assert "'known'" in answer["error"] and field in answer["error"]


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "attach", "execution_id": "\\ud800"}',
        '{"type": "cancel", "execution_id": "a\\udfffb"}',
        '{"type": "attach", "execution_id": "a\\u0000b"}',
        '{"type": "\\ud800"}',
        '{"type": "train_workflow", "\\ud800": 1}',
        '{"type": "train_workflow", "execution_id": "\\ud800"}',
        '{"type": "train_workflow", "training": {"\\ud800": 1}}',
        '{"type": "train_workflow", "graph_config": {"entrypoint": "\\ud800"}, "training": {}}',
    ],
)
def test_half_a_character_is_answered_and_the_socket_stays_open(gateway: Served, text: str) -> None:
    with gateway.ws() as client:
        client.send(text)
        answer = receive(client)
        assert answer["status"] == "error" and "gateway's log" not in answer["error"]
        send(client, type="ping")
        assert receive(client) == {"type": "pong"}


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("a.jsonl", b'{"inputs": {"q": NaN}}', "line 1: at inputs.q: nan is not a finite"),
        ("a.json", b'[{"inputs": {"q": 1}}, {"inputs": Infinity}]', "record 1: at inputs: inf"),
        ("a.jsonl", b'{"inputs": {"q": "a\\u0000b"}}', "line 1: at inputs.q: holds a NUL"),
        ("a.csv", b"q,a\nx,1\ny\x00,2\n", "line 3: at q: holds a NUL"),
        ("a.json", b'[{"inputs": {"q": "\\ud800"}}]', "holds half of a surrogate pair"),
    ],
)
def test_an_upload_that_no_run_could_use_is_refused(
    gateway: Served, name: str, body: bytes, said: str
) -> None:
    answer = gateway.http.post(f"/api/datasets?name={name}", content=body)
    assert answer.status_code == 409 and said in answer.json()["message"]


def test_a_pattern_that_would_try_for_ever_freezes_no_gateway(gateway: Served) -> None:
    case = {"inputs": {"q": "1"}, "expected_output": "a" * 5_000 + "!"}
    dataset = {"cases": [case], "expected_pattern": "(a+)+$"}
    with gateway.ws() as client:
        send(client, type="train_workflow", training=_training(dataset=dataset))
        assert "is not found in the expected output" in receive(client)["error"]
        assert gateway.open.get("/healthz").status_code in (200, 503)
