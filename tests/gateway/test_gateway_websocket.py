"""The websocket: following a run, coming back to it, and what it says to nonsense."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as connect_sync

from cornerman.storage.database import Database
from tests.gateway.serving import (
    API,
    API_TOKEN,
    Served,
    end,
    new_run,
    receive,
    receive_all,
    say,
    send,
    until,
)


@pytest.mark.parametrize("token", ["", "wrong"])
def test_a_socket_without_the_secret_is_closed_with_4401(gateway: Served, token: str) -> None:
    with gateway.ws(token=token) as client, pytest.raises(ConnectionClosed) as closed:
        client.recv(timeout=5)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401


def test_browsers_may_give_the_secret_by_subprotocol_or_address(gateway: Served) -> None:
    address = f"ws://127.0.0.1:{gateway.port}/ws/workflow/support"
    protocols: Any = ["bearer", API_TOKEN]
    with connect_sync(address, subprotocols=protocols) as client:
        assert client.subprotocol == "bearer"
        send(client, type="ping")
        assert receive(client) == {"type": "pong"}
    with connect_sync(f"{address}?access_token={API_TOKEN}") as client:
        send(client, type="ping")
        assert receive(client) == {"type": "pong"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{nonsense", "no JSON"),
        ("[1]", "JSON object"),
        ('{"type": "dance"}', "Unknown message type 'dance'"),
        ("{}", "Unknown message type None"),
        ('{"type": "attach"}', "execution_id: is required"),
        ('{"type": "attach", "execution_id": "none"}', "There is no run"),
        ('{"type": "cancel", "execution_id": "none"}', "There is no run"),
        ('{"type": "attach", "execution_id": "r", "after": -1}', "after: -1"),
        ('{"type": "attach", "execution_id": "r", "after": "1"}', "after: '1'"),
        ('{"type": "attach", "execution_id": "elsewhere"}', "There is no run"),
    ],
)
def test_nonsense_is_answered_and_the_socket_stays_open(
    gateway: Served, text: str, said: str
) -> None:
    new_run(gateway.db, "r")
    new_run(gateway.db, "elsewhere", workflow="other")
    with gateway.ws() as client:
        client.send(text)
        answer = receive(client)
        assert answer["status"] == "error" and said in answer["error"]
        send(client, type="ping")
        assert receive(client) == {"type": "pong"}


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({}, "dataset: is required"),
        ({"dataset": {"cases": []}}, "dataset.cases"),
        ({"optimizer": {"epochs": 99}}, "optimizer.epochs: 99 is over the limit of 50"),
        ({"optimizer": {"epoch": 1}}, "optimizer.epoch: unknown field; did you mean epochs?"),
        ({"evaluators": [{"id": "e", "entrypoint": "regex", "config": {"nope": 1}}]}, "nope"),
        ("text", "training: 'text' is not an object"),
    ],
)
def test_a_bad_payload_is_refused_by_field_value_and_limit(
    gateway: Served, training: Any, said: str
) -> None:
    if isinstance(training, dict) and training:
        training = {
            "dataset": {"cases": [{}]},
            "evaluators": [{"id": "e", "entrypoint": "exact_match"}],
            "prompts": {"system": {"text": "x", "requires_grad": True}},
        } | training
    with gateway.ws() as client:
        send(client, type="train_workflow", training=training)
        answer = receive(client)
    assert answer["status"] == "error"
    assert answer["error"].startswith("Invalid training payload: ") and said in answer["error"]
    assert gateway.http.get("/api/runs").json() == []


def test_unknown_fields_of_the_message_and_bad_ids_are_refused(gateway: Served) -> None:
    with gateway.ws() as client:
        send(client, type="train_workflow", trainings={})
        assert "trainings: unknown field" in receive(client)["error"]
        for run_id in ("../x", "", 7, "x" * 200):
            send(client, type="train_workflow", execution_id=run_id, training=_smallest())
            assert "execution_id" in receive(client)["error"]


def _smallest() -> dict[str, Any]:
    return {
        "dataset": {"cases": [{"inputs": {"q": "1"}}]},
        "evaluators": [{"id": "e", "entrypoint": "exact_match"}],
        "prompts": {"system": {"text": "x", "requires_grad": True}},
    }


def test_an_execution_id_that_exists_is_followed_and_not_started_again(gateway: Served) -> None:
    new_run(gateway.db, "known")
    say(gateway.db, "known", {"n": 1}, {"n": 2})
    with gateway.ws() as client:
        send(client, type="train_workflow", execution_id="known", training=_smallest())
        assert [receive(client)["seq"] for _ in range(2)] == [1, 2]
        send(client, type="attach", execution_id="known")
        assert "follows run known already" in receive(client)["error"]
        end(gateway.db, "known")
        assert receive(client) == {"status": "completed"}


def test_who_follows_is_told_when_events_cannot_be_read(gateway: Served) -> None:
    new_run(gateway.db, "long")
    # More than are kept for all, so that the reader itself asks for them.
    say(gateway.db, "long", *({"n": n} for n in range(300)))
    with gateway.db.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE events RENAME COLUMN payload TO held")
    with gateway.ws() as client:
        send(client, type="attach", execution_id="long")
        assert "cannot be read at the moment" in receive(client)["error"]
        with gateway.db.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE events RENAME COLUMN held TO payload")
        send(client, type="attach", execution_id="long")
        assert receive(client)["seq"] == 1


def test_an_id_of_another_workflows_run_is_refused(gateway: Served) -> None:
    new_run(gateway.db, "taken", workflow="other")
    with gateway.ws() as client:
        send(client, type="train_workflow", execution_id="taken", training=_smallest())
        assert "exists already" in receive(client)["error"]


def test_events_come_within_a_second_and_a_reader_comes_back_to_its_place(gateway: Served) -> None:
    new_run(gateway.db, "live")
    with gateway.ws() as client:
        send(client, type="attach", execution_id="live", after=0)
        for n in range(1, 6):
            written = time.monotonic()
            say(gateway.db, "live", {"n": n})
            event = receive(client)
            assert time.monotonic() - written < 1.0
            assert event["seq"] == n and event["payload"] == {"n": n}
            assert set(event) == {"seq", "node", "event", "payload", "created_at"}
            assert event["node"] == "agentensor_trainer"
    say(gateway.db, "live", {"n": 6})
    end(gateway.db, "live", "stopped", stopped_by="budget")
    with gateway.ws() as client:
        send(client, type="attach", execution_id="live", after=5)
        events, last = receive_all(client)
    assert [event["seq"] for event in events] == [6]
    assert last == {"status": "stopped", "stopped_by": "budget"}


def test_how_a_run_failed_is_told_without_its_stack(gateway: Served) -> None:
    new_run(gateway.db, "broken")
    facts = {"type": "X", "message": "It broke.", "hint": "Mend it.", "stack": "secret place"}
    end(gateway.db, "broken", "failed", error=facts)
    with gateway.ws() as client:
        send(client, type="attach", execution_id="broken")
        assert receive(client) == {"status": "error", "error": "It broke. Mend it."}
    assert "secret place" not in gateway.http.get("/api/runs/broken").text


def test_cancelling_asks_the_runs_process_wherever_it_is(gateway: Served) -> None:
    new_run(gateway.db, "far")
    with gateway.ws() as client, ThreadPoolExecutor() as pool:
        send(client, type="cancel", execution_id="far")

        def obey() -> None:
            until(lambda: gateway.http.get("/api/runs/far").json()["cancel_requested"])
            end(gateway.db, "far", "cancelled", stopped_by="cancelled")

        pool.submit(obey).result()
        assert receive(client) == {"status": "cancelled"}


def test_a_reader_that_stopped_reading_holds_up_nobody_and_misses_nothing(gateway: Served) -> None:
    new_run(gateway.db, "big")
    body = {"text": "x" * 20_000}
    # A small window, so that the gateway feels at once that this client does not read.
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.connect(("127.0.0.1", gateway.port))
    with gateway.ws(sock=narrow, max_queue=1) as slow, gateway.ws() as quick:
        for client in (slow, quick):
            send(client, type="attach", execution_id="big")
        receive_first = time.monotonic()
        for _ in range(20):
            say(gateway.db, "big", *([body] * 30))
        assert [receive(quick)["seq"] for _ in range(600)] == list(range(1, 601))
        assert time.monotonic() - receive_first < 15
        end(gateway.db, "big")
        assert receive(quick) == {"status": "completed"}
        events, last = receive_all(slow)
    assert [event["seq"] for event in events] == list(range(1, 601))
    assert last == {"status": "completed"}


async def test_fifty_clients_watch_one_run(gateway: Served) -> None:
    new_run(gateway.db, "popular")
    address = f"ws://127.0.0.1:{gateway.port}/ws/workflow/support"

    async def follow() -> tuple[list[int], Any, float]:
        lag = 0.0
        async with connect(address, additional_headers=API) as client:
            await client.send(json.dumps({"type": "attach", "execution_id": "popular"}))
            seen: list[int] = []
            while "status" not in (message := json.loads(await client.recv())):
                seen.append(message["seq"])
                lag = max(lag, time.time() - message["payload"]["at"])
        return seen, message, lag

    clients = [asyncio.create_task(follow()) for _ in range(50)]
    await asyncio.sleep(1.0)
    for _ in range(20):
        await asyncio.to_thread(say, gateway.db, "popular", {"at": time.time()})
        await asyncio.sleep(0.02)
    await asyncio.to_thread(end, gateway.db, "popular")
    for seen, last, lag in await asyncio.gather(*clients):
        assert seen == list(range(1, 21)) and last == {"status": "completed"}
        assert lag < 1.0


def test_several_runs_at_once_on_each_database(serve: Callable[..., Served], db: Database) -> None:
    gateway = serve(db)
    names = [f"run-{n}" for n in range(4)]
    with contextlib.ExitStack() as stack, ThreadPoolExecutor() as pool:
        clients = [stack.enter_context(gateway.ws()) for _ in names]
        for name, client in zip(names, clients, strict=True):
            new_run(db, name)
            send(client, type="attach", execution_id=name)

        def work(name: str) -> None:
            for n in range(25):
                say(db, name, {"run": name, "n": n})
            end(db, name)

        writers = [pool.submit(work, name) for name in names]
        for name, client in zip(names, clients, strict=True):
            events, last = receive_all(client)
            assert [event["payload"] for event in events] == [
                {"run": name, "n": n} for n in range(25)
            ]
            assert last == {"status": "completed"}
        for writer in writers:
            writer.result()
