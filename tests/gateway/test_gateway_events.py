"""Runs and their events over HTTP: as JSON and as a live stream."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from cornerman.gateway import hub
from cornerman.storage.events import read_events
from tests.gateway.serving import Served, end, new_run, say

STREAM = {"Accept": "text/event-stream"}


def messages(answer: httpx.Response) -> Iterator[dict[str, str]]:
    """Server-sent events as they come: `id`, `event` and `data` of each."""
    held: dict[str, str] = {}
    for line in answer.iter_lines():
        if not line and "data" in held:
            yield held
            held = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            held[name] = value


def test_events_are_read_page_by_page(gateway: Served) -> None:
    new_run(gateway.db, "r")
    say(gateway.db, "r", *({"n": n} for n in range(5)))
    first = gateway.http.get("/api/runs/r/events?limit=3").json()
    rest = gateway.http.get(f"/api/runs/r/events?after={first[-1]['seq']}").json()
    assert [event["seq"] for event in first + rest] == [1, 2, 3, 4, 5]
    assert set(first[0]) == {"seq", "node", "event", "payload", "created_at"}


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "limit=0", "limit=9999", f"after={10**12}"]
)
def test_pages_have_limits(gateway: Served, query: str) -> None:
    new_run(gateway.db, "r")
    answer = gateway.http.get(f"/api/runs/r/events?{query}")
    assert answer.status_code == 422
    assert query.partition("=")[0] in answer.json()["message"]


def test_a_stream_tells_what_was_and_what_comes_and_ends_with_the_run(gateway: Served) -> None:
    new_run(gateway.db, "r")
    say(gateway.db, "r", {"n": 1}, {"n": 2})
    with gateway.http.stream("GET", "/api/runs/r/events", headers=STREAM) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        coming = messages(answer)
        assert [next(coming)["id"] for _ in range(2)] == ["1", "2"]
        written = time.monotonic()
        say(gateway.db, "r", {"n": 3})
        message = next(coming)
        assert time.monotonic() - written < 1.0
        assert json.loads(message["data"])["payload"] == {"n": 3}
        end(gateway.db, "r")
        last = next(coming)
    assert last["event"] == "end" and json.loads(last["data"])["status"] == "completed"


def test_a_stream_goes_on_after_the_last_event_that_came(gateway: Served) -> None:
    new_run(gateway.db, "r")
    say(gateway.db, "r", *({"n": n} for n in range(400)))
    end(gateway.db, "r")
    with gateway.http.stream(
        "GET", "/api/runs/r/events?after=1", headers=STREAM | {"Last-Event-ID": "150"}
    ) as answer:
        seen = [m["id"] for m in messages(answer) if "id" in m]
    assert seen == [str(n) for n in range(151, 401)]


def test_streams_that_open_together_share_one_reading(
    gateway: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_run(gateway.db, "r")
    say(gateway.db, "r", *({"n": n} for n in range(5)))
    readings: list[str] = []

    def reading(session: Any, run_id: str, **page: Any) -> Any:
        readings.append(run_id)
        return read_events(session, run_id, **page)

    monkeypatch.setattr(hub, "read_events", reading)

    def first_five(_number: int) -> list[str]:
        with gateway.http.stream("GET", "/api/runs/r/events", headers=STREAM) as answer:
            return [message["id"] for message in itertools.islice(messages(answer), 5)]

    with ThreadPoolExecutor(10) as pool:
        seen = list(pool.map(first_five, range(10)))
    assert seen == [["1", "2", "3", "4", "5"]] * 10
    assert 0 < len(readings) < 5


def test_the_stream_of_all_runs_brings_each_event_once_over_a_lost_connection(
    gateway: Served,
) -> None:
    new_run(gateway.db, "old")
    say(gateway.db, "old", {"before": True})
    with gateway.http.stream("GET", "/api/monitor/stream") as answer:
        coming = _told(messages(answer))
        writer = threading.Timer(0.6, lambda: _news(gateway))
        writer.start()
        first = [next(coming), next(coming)]
        writer.join()
    assert {json.loads(m["data"])["run_id"] for m in first} == {"old", "new"}
    say(gateway.db, "new", {"n": 2})
    place = next(m["id"] for m in reversed(first) if "id" in m)
    with gateway.http.stream("GET", "/api/monitor/stream", params={"after": place}) as answer:
        event = json.loads(next(_told(messages(answer)))["data"])
    assert event["payload"] == {"n": 2} and event["workflow_id"] == "fresh"
    assert event["simulated"] is True


def _told(coming: Iterator[dict[str, str]]) -> Iterator[dict[str, str]]:
    """The runs' events, without what the stream says of the runs themselves."""
    return (one for one in coming if json.loads(one["data"])["event"] != "run_status")


def _news(gateway: Served) -> None:
    with gateway.db.writing() as session:
        from cornerman.domain.runs import NewEvent
        from cornerman.storage import events, runs, workflows

        workflows.create_workflow(session, "fresh")
        facts: dict[str, Any] = {"kind": "train", "workflow_id": "fresh", "simulated": True}
        runs.create_run(session, run_id="new", request={}, random_state={}, **facts)
        runs.claim_run(session, "new", "tests:1:x")
        for run_id in ("new", "old"):
            events.create_event(session, run_id, NewEvent("agentensor_trainer", "x", {"n": 1}))


@pytest.mark.parametrize("after", ["x", "r:", ":1", "r:1,,", "r:99999999999"])
def test_a_place_in_the_stream_of_all_runs_must_be_one_that_it_gave(
    gateway: Served, after: str
) -> None:
    answer = gateway.http.get("/api/monitor/stream", params={"after": after})
    assert answer.status_code == 422 and "after" in answer.json()["message"]


def test_a_run_is_shown_with_its_state_and_missing_ones_are_404(gateway: Served) -> None:
    new_run(gateway.db, "r", kind="battle")
    run = gateway.http.get("/api/runs/r").json()
    assert (run["kind"], run["status"], run["workflow_id"]) == ("battle", "running", "support")
    assert [r["id"] for r in gateway.http.get("/api/runs?kind=battle&active=true").json()] == ["r"]
    assert gateway.http.get("/api/runs?kind=train").json() == []
    for path in ("/api/runs/none", "/api/runs/none/events", "/api/runs/a%00b"):
        assert gateway.http.get(path).status_code == 404
    assert gateway.http.post("/api/runs/none/cancel").status_code == 404
    stream = gateway.http.get("/api/runs/none/events", headers=STREAM)
    assert stream.status_code == 404 and stream.json()["error"] == "Not found"
