"""Sizes, headers, uploads and paths: what must not come in, and what must not go out."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cornerman.storage.database import Database
from tests.gateway.serving import Served, receive, send


def test_every_answer_carries_strict_headers(gateway: Served) -> None:
    for path in ("/healthz", "/api/runs", "/api/runs/none", "/nowhere", "/api/cron/train"):
        headers = gateway.http.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


def test_bodies_over_the_limit_are_refused_declared_or_not(gateway: Served) -> None:
    large = b'{"active": false, "reason": "' + b"x" * 1_100_000 + b'"}'
    kind = {"Content-Type": "application/json"}

    def unannounced() -> Iterator[bytes]:
        for start in range(0, len(large), 50_000):
            yield large[start : start + 50_000]

    for body in (large, unannounced()):
        answer = gateway.http.put("/api/kill-switch", content=body, headers=kind)
        assert answer.status_code == 413
        assert answer.json()["error"] == "Too large"


def test_a_large_dataset_is_uploaded_and_trained_on_by_its_name(gateway: Served) -> None:
    line = json.dumps({"inputs": {"q": "x" * 1_000}, "expected_output": "y"}).encode() + b"\n"
    answer = gateway.http.post("/api/datasets?name=big.jsonl", content=line * 18_000)
    assert answer.status_code == 201, answer.text
    assert answer.json() == {"path": "big.jsonl", "bytes": len(line) * 18_000, "records": 18_000}
    stored = gateway.settings.home / "datasets" / "big.jsonl"
    assert stored.stat().st_size == len(line) * 18_000
    again = gateway.http.post("/api/datasets?name=big.jsonl", content=line)
    assert again.status_code == 409 and again.json()["id"] == "big.jsonl"


def test_an_upload_over_20_mb_leaves_nothing_behind(gateway: Served) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(21):
            yield b"x" * 1_000_000

    answer = gateway.http.post("/api/datasets?name=huge.csv", content=pieces())
    assert answer.status_code == 413
    assert list((gateway.settings.home / "datasets").iterdir()) == []


def test_an_upload_may_be_compressed_and_unpacks_to_no_more_than_its_limit(
    gateway: Served,
) -> None:
    lines = gzip.compress(b'{"inputs": {}}\n' * 3)
    answer = gateway.http.post("/api/datasets?name=some.jsonl.gz", content=lines)
    assert answer.status_code == 201 and answer.json()["records"] == 3, answer.text
    bomb = gzip.compress(b" " * 101_000_000, 1)
    answer = gateway.http.post("/api/datasets?name=bomb.jsonl.gz", content=bomb)
    assert answer.status_code == 409
    assert "bomb.jsonl.gz unpacks to more than 100,000,000 bytes" in answer.json()["message"]
    assert [path.name for path in (gateway.settings.home / "datasets").iterdir()] == [
        "some.jsonl.gz"
    ]


@pytest.mark.parametrize(
    "name", ["../x.json", "a/b.json", ".hidden.json", "x.py", "x", "..json", "x%00.json", "x.json/"]
)
def test_an_upload_cannot_choose_its_place(gateway: Served, name: str) -> None:
    answer = gateway.http.post(f"/api/datasets?name={name}", content=b'[{"inputs": {}}]')
    assert answer.status_code == 422
    assert not (gateway.settings.home / "datasets").exists()


def test_an_upload_that_is_no_dataset_is_refused_with_its_fault(gateway: Served) -> None:
    answer = gateway.http.post("/api/datasets?name=x.json", content=b"{not json")
    assert answer.status_code == 409 and "x.json is not valid JSON" in answer.json()["message"]
    assert list((gateway.settings.home / "datasets").iterdir()) == []


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A folder that datasets may come from, a file beside it, and a link that leads out."""
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    secret = tmp_path / "secret.json"
    secret.write_text('[{"inputs": {"password": "hunter2"}}]')
    (allowed / "link.json").symlink_to(secret)
    (allowed / "ok.json").write_text('[{"inputs": {}}]')
    return allowed


def _train_on(path: str, **more: object) -> dict[str, object]:
    return {
        "training": {
            "dataset": {"path": path},
            "evaluators": [{"id": "e", "entrypoint": "exact_match"}],
        }
        | more
    }


@pytest.mark.parametrize(
    "path",
    ["../secret.json", "link.json", "/etc/passwd", "{outside}", "~/secret.json", "x\x00.json"],
)
def test_a_dataset_outside_the_allowed_folders_is_refused_unread(
    serve: Callable[..., Served], sqlite_db: Database, folders: Path, path: str
) -> None:
    gateway = serve(sqlite_db, DATASET_FOLDERS=str(folders))
    path = path.replace("{outside}", str(folders.parent / "secret.json"))
    with gateway.ws() as client:
        send(client, type="train_workflow", **_train_on(path))
        answer = receive(client)
    assert answer["status"] == "error"
    assert answer["error"].startswith("Invalid training payload: dataset.path")
    assert "hunter2" not in answer["error"]


@pytest.mark.parametrize("path", ["../secret.json", "link.json", "none.json"])
def test_a_judges_labels_come_from_the_same_folders(
    serve: Callable[..., Served], sqlite_db: Database, folders: Path, path: str
) -> None:
    gateway = serve(sqlite_db, DATASET_FOLDERS=str(folders))
    with gateway.ws() as client:
        judge = {"calibration": path}
        send(client, type="train_workflow", **_train_on("ok.json", judge=judge))
        answer = receive(client)
    assert answer["error"].startswith("Invalid training payload: judge.calibration")
    assert "hunter2" not in answer["error"] and str(folders) not in answer["error"]


def test_an_allowed_dataset_gets_as_far_as_its_missing_prompts(
    serve: Callable[..., Served], sqlite_db: Database, folders: Path
) -> None:
    gateway = serve(sqlite_db, DATASET_FOLDERS=str(folders))
    with gateway.ws() as client:
        send(client, type="train_workflow", **_train_on("ok.json"))
        assert "prompts: none are given" in receive(client)["error"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"graph_config": {"http": {"url": "http://169.254.169.254/"}}}, "graph_config.http"),
        ({"graph_config": {"entrypoint": "os:system"}}, "graph_config.entrypoint"),
        ({"evaluators": [{"id": "e", "entrypoint": "antigravity:fly"}]}, "evaluators.0.entrypoint"),
    ],
)
def test_no_address_is_fetched_and_no_module_imported_for_a_request(
    serve: Callable[..., Served],
    sqlite_db: Database,
    folders: Path,
    more: dict[str, object],
    said: str,
) -> None:
    import sys

    gateway = serve(sqlite_db, DATASET_FOLDERS=str(folders))
    with gateway.ws() as client:
        send(client, type="train_workflow", **_train_on("ok.json", **more))
        answer = receive(client)
    assert answer["error"].startswith(f"Invalid training payload: {said}")
    assert "antigravity" not in sys.modules


def test_an_answer_never_shows_what_a_crash_was_about(gateway: Served) -> None:
    with gateway.db.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE kill_switch")
    answer = gateway.http.get("/api/kill-switch")
    assert answer.status_code in (500, 503)
    assert "kill_switch" not in answer.text and "Traceback" not in answer.text
